import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isJsonObject } from '../../src/common/json.js';
import type { JsonObject } from '../../src/common/json.js';
import type { NamedTensor } from '../../src/methods/method.js';
import { readSafetensor, readSafetensorsHeader } from '../../src/models/safetensors.js';

/** The repository's folder. */
export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** A path below `test/fixtures`. */
export function fixture(...parts: string[]): string {
  return path.join(ROOT, 'test/fixtures', ...parts);
}

/** All float tensors of a safetensors file, by name. */
export async function readTensors(file: string): Promise<Map<string, NamedTensor>> {
  const header = await readSafetensorsHeader(file);
  const tensors = new Map<string, NamedTensor>();
  for (const [name, entry] of header.tensors) {
    if (entry.dtype === 'I64') continue;
    tensors.set(name, { name, shape: entry.shape, data: await readSafetensor(header, name) });
  }
  return tensors;
}

/** The I64 tensor `input_ids` of a safetensors file, as rows. */
export async function readInputIds(file: string): Promise<number[][]> {
  const bytes = await readFile(file);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >;
  const { shape, data_offsets: offsets } = header['input_ids']!;
  const [rows, length] = shape as [number, number];
  const at = (row: number, column: number): number =>
    Number(bytes.readBigInt64LE(8 + headerLength + offsets[0] + 8 * (row * length + column)));
  return Array.from({ length: rows }, (_, row) => Array.from({ length }, (_, column) => at(row, column)));
}

export async function readJson(file: string): Promise<JsonObject> {
  const value: unknown = JSON.parse(await readFile(file, 'utf8'));
  if (!isJsonObject(value)) throw new Error(`${file} holds no object`);
  return value;
}

/** Largest absolute difference of two arrays of one length. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`${a.length} numbers against ${b.length}`);
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (Number.isNaN(difference)) return NaN;
    largest = Math.max(largest, difference);
  }
  return largest;
}

/** ‖a − b‖ / ‖b‖ */
export function relativeDistance(a: Float32Array, b: Float32Array): number {
  let [difference, norm] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}
