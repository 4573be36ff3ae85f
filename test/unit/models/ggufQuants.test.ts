import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { random } from '../../../src/common/random.js';
import { ggufTypeNamed, supportedGgufTypes } from '../../../src/models/ggufTypes.js';
import { fixture } from '../../support/fixtures.js';

/** What the `gguf` Python package and ggml make of rows of 256 values (test/fixtures/gguf/make.py). */
interface Quantized {
  readonly values: string;
  readonly types: Readonly<Record<string, string>>;
  /** Root of the mean squared error of each row, by ggml's own quantizer. */
  readonly errors: Readonly<Record<string, readonly number[]>>;
}

const expected = JSON.parse(await readFile(fixture('gguf', 'quantized.json'), 'utf8')) as Quantized;
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const values = new Float32Array(bytesOf(expected.values).buffer);
const ROWS = values.length / 256;

function rowErrors(wanted: Float32Array, found: Float32Array): number[] {
  return Array.from({ length: wanted.length / 256 }, (_, row) => {
    let sum = 0;
    for (let i = 256 * row; i < 256 * (row + 1); i++) sum += (wanted[i]! - found[i]!) ** 2;
    return Math.sqrt(sum / 256);
  });
}

for (const [name, bytes] of Object.entries(expected.types)) {
  test(`${name}: bit for bit what the gguf package writes`, () => {
    assert.deepEqual(ggufTypeNamed(name)!.quantize(values), bytesOf(bytes));
  });
}

for (const [name, errors] of Object.entries(expected.errors)) {
  test(`${name}: no larger errors than ggml's quantizer makes`, () => {
    const type = ggufTypeNamed(name)!;
    const bytes = type.quantize(values);
    assert.equal(bytes.length, ROWS * type.blockBytes);
    const ours = rowErrors(values, type.dequantize(bytes));
    for (const [row, error] of ours.entries()) assert.ok(error <= 1.04 * errors[row]!, `row ${row}: ${error}`);
    const ratios = ours.flatMap((error, row) => (errors[row]! > 0 ? [error / errors[row]!] : []));
    assert.ok(ratios.reduce((sum, each) => sum + each, 0) / ratios.length < 1);
  });
}

test('what a type holds already it holds again, K types with little of their error', () => {
  const rng = random(1, 'quants');
  const drawn = Float32Array.from({ length: 8 * 256 }, () => 0.02 * rng.normal());
  for (const name of supportedGgufTypes()) {
    const type = ggufTypeNamed(name)!;
    const once = type.dequantize(type.quantize(drawn));
    const twice = type.dequantize(type.quantize(once));
    const [first, second] = [rowErrors(drawn, once), rowErrors(once, twice)];
    const share = name.endsWith('_K') ? 0.2 : 0;
    for (const [row, error] of second.entries()) assert.ok(error <= share * first[row]!, `${name}, row ${row}`);
  }
});
