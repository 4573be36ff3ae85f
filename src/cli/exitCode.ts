import type { Problem } from '../common/problem.js';
import { INTERRUPTED } from './interrupt.js';

export const DONE = 0;
export const FAILED = 1;
export const UNUSABLE_INPUT = 2;

/** First parts of the codes that say: what was given cannot be used. */
const INPUT = new Set([
  'adalora',
  'adapter',
  'bitfit',
  'checkpoint',
  'child-tuning',
  'ciat',
  'cli',
  'cola',
  'combine',
  'compare',
  'compare-adapters',
  'compose',
  'config',
  'convert',
  'data',
  'delta',
  'dora-rank',
  'dylora',
  'engine',
  'folder',
  'fusion',
  'galore',
  'generation',
  'gguf',
  'hub',
  'ia3',
  'intrinsic',
  'last-layers',
  'learned-mask',
  'lokr',
  'lora',
  'lotr',
  'lt-sft',
  'mask',
  'masks',
  'melora',
  'memory',
  'method',
  'methods',
  'model',
  'mora',
  'prefix-tuning',
  'prompt-tuning',
  'proxy',
  'relora',
  'resume',
  'safetensors',
  'sora',
  'sltrain',
  'sparse',
  'sparse-delta',
  'targets',
  'template',
  'tokenizer',
  'training',
  'unmerge',
]);

/** Codes of other rooms that say the same. */
const INPUT_CODES = new Set([
  'file.exists',
  'merge.gguf-place',
  'merge.gguf-row',
  'merge.gguf-rows',
  'merge.gguf-tied',
  'merge.gguf-type',
  'merge.keep-gguf',
  'merge.no-gguf',
  'merge.not-mergeable',
  'merge.record',
  'merge.untied-before',
  'merge.untied-scale',
]);

/** Codes that say: the user ended it, and nothing was written. */
const INTERRUPTIONS = new Set(['cli.interrupted', 'run.stopped-early']);

/** Codes of those rooms that are failures of the work all the same. */
const FAILURES = new Set([
  'checkpoint.no-space',
  'folder.no-space',
  'generation.non-finite',
  'hub.answer',
  'hub.checksum',
  'hub.length',
  'hub.no-space',
  'hub.rate-limit',
  'hub.refused',
  'hub.unavailable',
  'hub.unreachable',
  'method.fisher',
  'method.not-prepared',
  'proxy.server',
  'sparse.non-finite',
  'training.checkpoint-write',
  'training.non-finite',
]);

/** What the process exits with after a problem: 1 failed, 2 unusable input, 130 interrupted. */
export function exitCodeOf({ code }: Problem): number {
  if (INTERRUPTIONS.has(code)) return INTERRUPTED;
  if (FAILURES.has(code)) return FAILED;
  // A file that a code is of adds what is wrong with it: merge.record.json.
  const [room = '', kind = ''] = code.split('.');
  return INPUT.has(room) || INPUT_CODES.has(`${room}.${kind}`) ? UNUSABLE_INPUT : FAILED;
}
