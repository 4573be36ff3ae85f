import type { TaskType } from '../models/task.js';
import type { ColumnOptions, FormatOption } from './options.js';

export type DataFormat = Exclude<FormatOption, 'auto'>;
export type ColumnRole = keyof ColumnOptions;

/** Formats with something to answer or to continue, in the order of preference where the columns fit several. */
const ANSWERS: readonly DataFormat[] = ['prompt_completion', 'alpaca', 'chat', 'text'];

/** The formats that each task can learn from. */
export const TASK_FORMATS: Readonly<Record<TaskType, readonly DataFormat[]>> = {
  CAUSAL_LM: ANSWERS,
  SEQ_2_SEQ_LM: ANSWERS,
  SEQ_CLS: ['classification'],
  MASKED_LM: ['text'],
};

export const DATA_FORMATS: readonly DataFormat[] = [...ANSWERS, 'classification'];

/** The parts a format is made of; the others it does not look at. */
export const FORMAT_ROLES: Readonly<
  Record<DataFormat, { readonly required: readonly ColumnRole[]; readonly optional: readonly ColumnRole[] }>
> = {
  prompt_completion: { required: ['prompt', 'completion'], optional: [] },
  alpaca: { required: ['instruction', 'output'], optional: ['input'] },
  chat: { required: ['messages'], optional: [] },
  text: { required: ['text'], optional: [] },
  classification: { required: ['text', 'label'], optional: ['text_pair'] },
};

/** The names a part's column may have: the one the run file gives, else the usual ones. */
export function columnNames(role: ColumnRole, columns: ColumnOptions): readonly string[] {
  const own = columns[role];
  if (own !== undefined) return [own];
  return role === 'messages' ? ['messages', 'conversations'] : [role];
}
