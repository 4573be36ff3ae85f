import { createHash } from 'node:crypto';
import type { Example } from '../data/example.js';
import type { TrainingJob } from './job.js';

/** Options that change what is told and kept, and no number. */
const SAID_ONLY: ReadonlySet<string> = new Set([
  'logging_steps',
  'save_steps',
  'save_total_limit',
  'eval_generations',
  'eval_generation_tokens',
  'cache_memory_mib',
]);

/**
 * A hash of everything that the numbers of a run depend on and that may have changed since a checkpoint was written:
 * the rows as tokens with their masks and classes, the options, what trains. A path does not count: folders may move.
 */
export function fingerprintOf(
  job: Pick<TrainingJob, 'train' | 'validation' | 'options' | 'packing' | 'maxLength' | 'masking' | 'methods'>,
): string {
  const hash = createHash('sha256');
  const options = Object.entries(job.options).filter(([key]) => !SAID_ONLY.has(key));
  hash.update(
    JSON.stringify([options, job.packing, job.maxLength, ...(job.masking === undefined ? [] : [job.masking])]),
  );
  for (const { type, trainables } of job.methods) {
    hash.update(JSON.stringify([type, trainables.map(({ variable: { name, shape } }) => [name, shape])]));
  }
  for (const rows of [job.train, job.validation]) {
    hash.update(Int32Array.of(rows.length));
    for (const row of rows) addRow(hash, row);
  }
  return hash.digest('hex');
}

function addRow(
  hash: ReturnType<typeof createHash>,
  { ids, supervised, source, task, label, types }: Example,
): void {
  if (source !== undefined) hash.update(Int32Array.of(source.length, ...source));
  hash.update(Int32Array.of(ids.length));
  hash.update(Int32Array.from(ids));
  hash.update(Uint8Array.from(supervised));
  if (task !== undefined) hash.update(Int32Array.of(task));
  if (label !== undefined) hash.update(`class ${label}`);
  if (types !== undefined) hash.update(Uint8Array.from(types));
}
