import * as l10n from '@vscode/l10n';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { fail, withMend } from '../common/problem.js';
import { readSafetensor, readSafetensorInt32, readSafetensorsHeader } from '../models/safetensors.js';
import { checkpointFolder, checkpointSteps } from '../training/checkpoint.js';
import { preparedMend } from '../training/preparedFiles.js';
import { learnedMaskOf } from './learnedMaskOf.js';
import { maskSources } from './maskSources.js';
import type { MaskSource } from './maskSources.js';
import type { TensorMask } from './tensorMask.js';

/** Places that a page is sent at most: 64 MB, and as much again of values. A mask of half of a 32-million matrix fits. */
const MAX_PLACES = 2 ** 24;
/** Places are 32-bit integers. */
const MAX_NUMBERS = 2 ** 31 - 1;
const PREPARED = /^prepared-\d+\.safetensors$/;

/**
 * The mask of one tensor of a run, out of what its methods found out before it (differences at places; Child-Tuning: bits),
 * with the differences out of the adapter or the newest checkpoint, whichever is newer; or the mask that a run has learned
 * until then. Reads only that tensor.
 *
 * @param folder the run's
 * @param site as the run's `masks` event names it
 * @param shape of the tensor as it lies on disk, of the same event
 * @throws ProblemError `mask.not-found`, `mask.not-yet`, `mask.too-large`, `mask.indices`, `safetensors.*`
 */
export async function maskOf(folder: string, site: string, shape: readonly number[]): Promise<TensorMask> {
  const numbers = shape.reduce((product, length) => product * (Number.isSafeInteger(length) ? length : NaN), 1);
  if (!(numbers <= MAX_NUMBERS)) tooLarge(site, numbers);
  const names = await readdir(folder).catch(() => []);
  const [rows, columns] = shape.length < 2 ? [1, numbers] : [shape[0]!, numbers / Math.max(1, shape[0]!)];
  const sources = await maskSources(folder, names);
  const learned = await learnedMaskOf(folder, site, numbers, sources);
  if (learned !== undefined) return { rows, columns, indices: placesOf(site, learned), learned: true };
  const places = await placesIn(folder, await preparedFiles(folder, names), site, numbers);
  if (places.valueless) return { rows, columns, ...places };
  const found = await differences(sources, `${site}.weight.values`, places.indices.length);
  return { rows, columns, ...places, ...found };
}

/** What the methods were attached with: where they chose anew in the course of the run, that of the newest checkpoint. */
async function preparedFiles(folder: string, names: readonly string[]): Promise<string[]> {
  const step = names.length === 0 ? undefined : (await checkpointSteps(folder)).at(-1);
  const newest = step === undefined ? folder : checkpointFolder(folder, step);
  const later = step === undefined ? [] : await readdir(newest).catch(() => []);
  const all = new Set([...names, ...later].filter((name) => PREPARED.test(name)));
  return [...all].sort().map((name) => path.join(later.includes(name) ? newest : folder, name));
}

async function placesIn(
  folder: string,
  files: readonly string[],
  site: string,
  numbers: number,
): Promise<Pick<TensorMask, 'indices' | 'valueless'>> {
  let hasPlaces = false;
  for (const file of files) {
    const header = await withMend(preparedMend(), () => readSafetensorsHeader(file));
    hasPlaces ||= [...header.tensors.keys()].some((tensor) => tensor.endsWith('.weight.indices'));
    const places = header.tensors.get(`${site}.weight.indices`);
    const bits = header.tensors.get(site);
    if (places !== undefined) {
      if (places.length / 4 > MAX_PLACES) tooLarge(site, places.length / 4);
      const indices = await readSafetensorInt32(header, `${site}.weight.indices`);
      const unsigned = new Uint32Array(indices.buffer, indices.byteOffset, indices.length);
      return { indices: checked(header.file, site, unsigned, numbers) };
    }
    if (bits?.dtype === 'I32' && bits.length === 4 * Math.ceil(numbers / 32)) {
      return { indices: placesOf(site, await readSafetensorInt32(header, site)), valueless: true };
    }
  }
  // Nothing is kept of a tensor of which no number was chosen.
  if (hasPlaces) return { indices: new Uint32Array() };
  return fail({
    code: 'mask.not-found',
    message: l10n.t`the run's folder has no mask of ${site}`,
    where: { file: folder },
    expected: l10n.t`a file prepared-0.safetensors, which the run writes before its first step`,
    mend: l10n.t`The folder was changed or comes from an older version: train again.`,
  });
}

/** The places of the bits that are set, 32 to an integer, the lowest first. */
function placesOf(site: string, words: Int32Array): Uint32Array {
  let count = 0;
  for (const word of words) for (let rest = word; rest !== 0; rest &= rest - 1) count++;
  if (count > MAX_PLACES) tooLarge(site, count);
  const indices = new Uint32Array(count);
  let next = 0;
  words.forEach((word, at) => {
    for (let rest = word; rest !== 0; rest &= rest - 1) indices[next++] = 32 * at + 31 - Math.clz32(rest & -rest);
  });
  return indices;
}

/** Rising and within the tensor: what is drawn is where it says. */
function checked(file: string, site: string, indices: Uint32Array, numbers: number): Uint32Array {
  const wrong = indices.findIndex((place, at) => place >= numbers || (at > 0 && place <= indices[at - 1]!));
  if (wrong < 0) return indices;
  return fail({
    code: 'mask.indices',
    message: l10n.t`the mask of ${site} holds ${String(indices[wrong])} at position ${wrong}`,
    where: { file },
    expected: l10n.t`rising numbers from 0 to ${numbers - 1}`,
    mend: l10n.t`The file is damaged: train again.`,
  });
}

/** One tensor of the adapter or of the newest checkpoint, whichever is newer; nothing where neither has it. */
async function differences(
  sources: readonly MaskSource[],
  tensor: string,
  length: number,
): Promise<Pick<TensorMask, 'values' | 'valuesOf'>> {
  for (const { header, of, nameOf } of sources) {
    const name = nameOf(tensor);
    if (name === undefined || header.tensors.get(name)!.shape[0] !== length) continue;
    return { values: await readSafetensor(header, name), valuesOf: of };
  }
  return {};
}

function tooLarge(site: string, count: number): never {
  return fail({
    code: 'mask.too-large',
    message: l10n.t`the mask of ${site} has ${count} numbers, too many for a picture`,
    expected: l10n.t`at most ${MAX_PLACES}`,
    mend: l10n.t`Its density over time is in the map; the places are in the run’s folder (prepared-0.safetensors).`,
  });
}
