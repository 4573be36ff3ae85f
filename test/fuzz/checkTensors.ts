import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Checkpoint } from '../../src/models/checkpoint.js';
import { openCheckpoint } from '../../src/models/openCheckpoint.js';
import { FLOAT_DTYPES } from '../../src/models/safetensors.js';
import { elementCount } from '../../src/models/tensorSpans.js';
import { writeSafetensors } from '../../src/models/writeSafetensors.js';
import { broken } from './target.js';
import type { Sandbox } from './target.js';

/**
 * Float tensors have as many numbers as their shape says. `thorough` looks at all of them instead of a few, and checks
 * that they are the same after writing and reading again, and where they are mapped.
 */
export async function checkTensors(
  checkpoint: Checkpoint,
  { scratch }: Sandbox,
  thorough: boolean,
): Promise<void> {
  const values = new Map<string, Float32Array>();
  for (const [at, [name, { dtype, shape }]] of [...checkpoint.tensors].entries()) {
    if (!thorough && at % 4 !== 0) continue;
    if (checkpoint.format === 'safetensors' && !FLOAT_DTYPES.includes(dtype)) continue;
    const data = await checkpoint.read(name);
    if (data.length !== elementCount(shape))
      broken(`${name} of shape [${shape.join()}] has ${data.length} numbers`);
    values.set(name, data);
  }
  if (!thorough) return;
  await checkMapped(checkpoint);
  await writeSafetensors(
    path.join(scratch, 'model.safetensors'),
    [...values].map(([name, data]) => ({ name, dtype: 'F32', shape: checkpoint.tensors.get(name)!.shape, data })),
  );
  await writeFile(path.join(scratch, 'config.json'), '{}');
  const again = await openCheckpoint(scratch);
  if (again.tensors.size !== values.size) broken(`${values.size} tensors became ${again.tensors.size}`);
  for (const [name, data] of values) {
    if (!sameBits(data, await again.read(name))) broken(`${name} changed by writing and reading`);
  }
}

/** What is mapped lies in its file and holds the numbers that are read. */
async function checkMapped(checkpoint: Checkpoint): Promise<void> {
  const { folder, tensors } = await checkpoint.mapped();
  for (const [name, { file, offset, length }] of tensors) {
    if (path.dirname(file) !== folder) broken(`${name} is mapped from outside ${folder}`);
    const bytes = Uint8Array.from((await readFile(file)).subarray(offset, offset + length));
    if (!sameBits(new Float32Array(bytes.buffer), await checkpoint.read(name))) broken(`${name} is mapped wrong`);
  }
}

export function sameBits(a: Float32Array, b: Float32Array): boolean {
  const bits = (values: Float32Array): Uint8Array =>
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return Buffer.compare(bits(a), bits(b)) === 0;
}
