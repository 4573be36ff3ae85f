import { stat } from 'node:fs/promises';
import path from 'node:path';
import { ADAPTER_WEIGHTS } from '../adapters/adapterFiles.js';
import { readSafetensorsHeader } from '../models/safetensors.js';
import type { SafetensorsHeader } from '../models/safetensors.js';
import { checkpointFolder, checkpointSteps, checkpointTensors } from '../training/checkpoint.js';

/** A copied folder may have its files in any order of time: a checkpoint has to be so much newer than the adapter. */
const NEWER_MS = 10_000;
const ADAPTER = /^adapter(?:-[a-z_]+)?$/;

/** A file that says what a run's methods have learned. */
export interface MaskSource {
  readonly header: SafetensorsHeader;
  /** The run's adapter, or the checkpoint of a step. */
  readonly of: 'adapter' | number;
  /** The name in it of a tensor that a method knows by another. */
  nameOf(tensor: string): string | undefined;
}

/**
 * The adapters of a run and its newest checkpoint, newest first.
 * @param names what the folder holds
 */
export async function maskSources(folder: string, names: readonly string[]): Promise<readonly MaskSource[]> {
  const adapters = names
    .filter((name) => ADAPTER.test(name))
    .map((name) => ({ file: path.join(folder, name, ADAPTER_WEIGHTS), of: 'adapter' as const, prefix: '' }));
  const step = names.length === 0 ? undefined : (await checkpointSteps(folder)).at(-1);
  const checkpoints =
    step === undefined
      ? []
      : [{ file: checkpointTensors(checkpointFolder(folder, step)), of: step, prefix: 'values/' }];
  const found = await Promise.all(
    [...adapters, ...checkpoints].map(async (source) => ({ ...source, modified: await modifiedAt(source.file) })),
  );
  const rank = ({ modified, of }: (typeof found)[number]): number =>
    (modified ?? 0) + (of === 'adapter' ? NEWER_MS : 0);
  const newestFirst = found.filter(({ modified }) => modified !== undefined).sort((a, b) => rank(b) - rank(a));
  return Promise.all(
    newestFirst.map(async ({ file, of, prefix }) => {
      const header = await readSafetensorsHeader(file);
      return { header, of, nameOf: (tensor: string) => nameIn(header, prefix, tensor) };
    }),
  );
}

/** A method that is not the run's first puts its number before its names in checkpoints. */
function nameIn({ tensors }: SafetensorsHeader, prefix: string, tensor: string): string | undefined {
  if (tensors.has(`${prefix}${tensor}`)) return `${prefix}${tensor}`;
  return [...tensors.keys()].find((name) => name.startsWith(prefix) && name.endsWith(`:${tensor}`));
}

/** Undefined: there is no such file (an old checkpoint may just have been removed). */
async function modifiedAt(file: string): Promise<number | undefined> {
  return stat(file).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
}
