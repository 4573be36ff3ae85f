/**
 * What a model is trained to do, under Hugging Face PEFT's names. PEFT has none for masked language modelling: it is
 * written there as null.
 */
export const TASK_TYPES = ['CAUSAL_LM', 'SEQ_2_SEQ_LM', 'SEQ_CLS', 'MASKED_LM'] as const;
export type TaskType = (typeof TASK_TYPES)[number];

/** A task as a model is read for it. */
export interface Task {
  readonly type: TaskType;
  /** SEQ_CLS: the names of the classes, by their number. */
  readonly labels?: readonly string[];
  /** How many classes there are, where their names are not known. */
  readonly classCount?: number;
}

/** A task as it is asked for. */
export interface WantedTask extends Omit<Task, 'type'> {
  /**
   * Absent: the usual one of the model's type. null, as PEFT writes a task that it has no name for: masked language
   * modelling, where the type can do it.
   */
  readonly type?: TaskType | null | undefined;
  /**
   * Rows of the embedding and of the output layer, where others than the checkpoint's take their place (an adapter that was
   * trained with tokens added holds both whole). Absent: the checkpoint's.
   */
  readonly vocabulary?: number;
}

/** Whether an encoder does it: rows are texts with their special tokens, and nothing is answered. */
export function isEncoderTask(type: TaskType): boolean {
  return type === 'SEQ_CLS' || type === 'MASKED_LM';
}

/** As PEFT's `task_type`. */
export function peftTaskType(type: TaskType): string | null {
  return type === 'MASKED_LM' ? null : type;
}
