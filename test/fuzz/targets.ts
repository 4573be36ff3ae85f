import { adapter } from './adapter.js';
import { gguf } from './gguf.js';
import { csv, json, jsonl } from './rows.js';
import { parquet } from './parquet.js';
import { runFile } from './runFile.js';
import { safetensors } from './safetensors.js';
import type { FuzzTarget } from './target.js';
import { template } from './template.js';
import { tokenizer } from './tokenizer.js';

/** Every format that the product reads from files of others. */
export const TARGETS: readonly FuzzTarget[] = [
  safetensors,
  gguf,
  tokenizer,
  jsonl,
  json,
  csv,
  parquet,
  runFile,
  template,
  adapter,
];

/** The target of that name. Throws with the names there are. */
export function findTarget(name: string): FuzzTarget {
  const found = TARGETS.find((target) => target.name === name);
  if (found !== undefined) return found;
  throw new Error(`no format ${name}; there are ${TARGETS.map((target) => target.name).join(', ')}`);
}
