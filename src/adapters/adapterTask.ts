import type { WantedTask } from '../models/task.js';
import type { AdapterOnDisk } from './readAdapter.js';

/** Keys of the output layer of a head for classes, behind what PEFT and the `adapters` library put in front. */
const OUTPUT_LAYER = /^(?:base_model\.(?:model\.)?)?(?:classifier(?:\.out_proj)?|score)\.weight$/;

/** A tensor of a head: `base_model.model.classifier.dense.bias`. */
const HEAD = /^(?:base_model\.(?:model\.)?)?(?:classifier|score)\.(?:\w+\.)?(?:weight|bias)$/;

/** A tensor of the base's pooler as PEFT copies what trains whole: `base_model.model.bert.pooler.dense.bias`. */
const POOLER = /^base_model\.(?:model\.)?(?:\w+\.)?pooler\.(?:\w+\.)?(?:weight|bias)$/;

/** Names of what a head is made of in `modules_to_save`. */
export const HEAD_MODULES: readonly string[] = ['classifier', 'score', 'pooler'];

type AdapterHeader = Pick<AdapterOnDisk, 'config' | 'labels' | 'tensors'>;

/** The task that an adapter was trained for, and its vocabulary, as its base has to be read. */
export function adapterTask({ config, labels, tensors }: AdapterHeader): WantedTask {
  const rows = vocabularyOf(tensors);
  const task = taskOnBase({ config, labels, tensors });
  return rows === undefined ? task : { ...task, vocabulary: rows };
}

/** Keys of an embedding and of an output layer that trained whole. */
const EMBEDDING = /^base_model\.model\.(?:\w+\.)*(?:embed_tokens|wte)\.weight$/;
const HEAD_OF_TOKENS = /^base_model\.model\.(?:\w+\.)*lm_head\.weight$/;

/**
 * The vocabulary that an adapter was trained with, where it holds all rows of both embedding and output layer: they take the
 * place of the base's, however many those are.
 */
function vocabularyOf(tensors: AdapterOnDisk['tensors']): number | undefined {
  const rowsOf = (pattern: RegExp): number | undefined =>
    [...tensors].find(([key, { shape }]) => pattern.test(key) && shape.length === 2)?.[1].shape[0];
  const [embedded, scored] = [rowsOf(EMBEDDING), rowsOf(HEAD_OF_TOKENS)];
  return embedded === scored ? embedded : undefined;
}

/**
 * The task alone: what is taken off the base's numbers, or added to them, has the base's vocabulary, and an adapter that holds
 * another does not fit.
 */
export function taskOnBase({ config, labels, tensors }: AdapterHeader): WantedTask {
  const type = config['task_type'];
  if (labels !== undefined || type === 'SEQ_CLS') {
    const [output] = [...tensors].filter(([key]) => OUTPUT_LAYER.test(key)).map(([, { shape }]) => shape[0]);
    return {
      type: 'SEQ_CLS',
      ...(labels === undefined ? {} : { labels }),
      ...(output === undefined ? {} : { classCount: output }),
    };
  }
  if (type === null) return { type: null };
  return type === 'CAUSAL_LM' || type === 'SEQ_2_SEQ_LM' ? { type } : {};
}

/** Keys of an adapter's tensors that are its head's: with the pooler, which trains along where the base has one. */
export function headKeys({
  config,
  labels,
  tensors,
}: Pick<AdapterOnDisk, 'config' | 'labels' | 'tensors'>): string[] {
  if (labels === undefined && config['task_type'] !== 'SEQ_CLS') return [];
  return [...tensors.keys()].filter((key) => HEAD.test(key) || POOLER.test(key));
}
