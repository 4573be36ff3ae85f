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
}
