import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import type { TensorToWrite } from '../../../src/models/writeSafetensors.js';
import { writeSafetensors } from '../../../src/models/writeSafetensors.js';

/** A folder for one test file, with the weights cache inside it; removed when the tests are done. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'peft-studio-models-'));
  process.env['PEFT_STUDIO_CACHE'] = path.join(folder, 'cache');
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** For `assert.rejects` and `assert.throws`: a ProblemError with this code whose text holds all `parts`. */
export function problem(code: string, ...parts: string[]): (error: unknown) => boolean {
  return (error) => {
    if (!(error instanceof ProblemError)) throw error;
    const missing = parts.find((part) => !error.message.includes(part));
    if (error.problem.code === code && missing === undefined) return true;
    throw new Error(`expected ${code} with "${missing ?? ''}", got ${error.problem.code}: ${error.message}`);
  };
}

export async function readFixture<T>(name: string): Promise<T> {
  const file = new URL(`../../fixtures/gguf/${name}`, import.meta.url);
  return JSON.parse(await readFile(file, 'utf8')) as T;
}

/** Base64 of little-endian float32 values. */
export function floats(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
}

/** A safetensors file of any header text, to be hostile with. */
export async function writeRaw(
  file: string,
  header: string,
  dataBytes: number,
  claimed = BigInt(Buffer.byteLength(header)),
): Promise<string> {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed);
  await writeFile(file, Buffer.concat([length, Buffer.from(header), Buffer.alloc(dataBytes)]));
  return file;
}

/** A model folder with a config and one safetensors file. */
export async function writeFolder(
  folder: string,
  tensors: readonly TensorToWrite[],
  config: object = { model_type: 'llama' },
): Promise<string> {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(config));
  if (tensors.length > 0) await writeSafetensors(path.join(folder, 'model.safetensors'), tensors);
  return folder;
}

export function tensor(name: string, dtype: TensorToWrite['dtype'], ...values: number[]): TensorToWrite {
  return { name, dtype, shape: [values.length], data: Float32Array.from(values) };
}
