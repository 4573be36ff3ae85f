import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Random } from '../../src/common/random.js';
import { readRows } from '../../src/data/readRows.js';
import { isBroken } from '../../src/data/row.js';
import { fixture } from '../support/fixtures.js';
import { mutateBytes } from './bytes.js';
import { writeInput } from './fuzz.js';
import { broken, oneIn, pick } from './target.js';
import type { FuzzInput, FuzzTarget, Sandbox } from './target.js';

const FILE = 'rows.parquet';

/** Pyarrow's files of test/fixtures/parquet, but the one whose compression is refused, and the one without rows. */
const SEEDS = ['none', 'snappy', 'gzip', 'zstd', 'brotli', 'v2', 'plain', 'delta', 'long', 'long', 'delta'];

/** Behind the footer: its length and the mark of the format. */
const TAIL = 8;

/** Parquet files: the footer (counts, offsets, types) and the pages are changed apart. */
export const parquet: FuzzTarget = {
  name: 'parquet',
  seeds: () =>
    Promise.all(
      SEEDS.map(
        async (name) => new Map([[FILE, Uint8Array.from(await readFile(fixture(`parquet/${name}.parquet`)))]]),
      ),
    ),
  mutate(input, rng, others) {
    const bytes = input.get(FILE)!;
    const other = pick(rng, others).get(FILE)!;
    return new Map([[FILE, oneIn(rng, 6) ? mutateBytes(bytes, rng, other) : mutateParts(bytes, rng, other)]]);
  },
  async run(input, sandbox) {
    writeInput(sandbox, input);
    const file = path.join(sandbox.folder, FILE);
    const values = await valuesOf(file);
    if (isThorough(input)) await checkCopy(values, sandbox);
  },
};

/** One of the parts between what marks the file, so that its ends still hold. */
function mutateParts(bytes: Uint8Array, rng: Random, other: Uint8Array): Uint8Array {
  const start = footerStart(bytes);
  if (start === undefined) return mutateBytes(bytes, rng, other);
  const [pages, footer] = [bytes.subarray(0, start), bytes.subarray(start, -TAIL)];
  const change = (part: Uint8Array): Uint8Array =>
    oneIn(rng, 3) ? withNumber(part, rng) : oneIn(rng, 2) ? withByte(part, rng) : mutateBytes(part, rng, other);
  return oneIn(rng, 3) ? joined(change(pages), footer) : joined(pages, change(footer));
}

function footerStart(bytes: Uint8Array): number | undefined {
  if (bytes.length < 2 * TAIL) return undefined;
  const start = bytes.length - TAIL - Buffer.from(bytes.subarray(-TAIL)).readUInt32LE(0);
  return start >= 0 ? start : undefined;
}

function joined(pages: Uint8Array, footer: Uint8Array): Uint8Array {
  const tail = Buffer.alloc(TAIL);
  tail.writeUInt32LE(footer.length, 0);
  tail.write('PAR1', 4, 'latin1');
  return Buffer.concat([pages, footer, tail]);
}

/** Most bytes of a footer are small numbers, types of fields and their lengths: another of these keeps it readable. */
function withByte(part: Uint8Array, rng: Random): Uint8Array {
  const changed = Uint8Array.from(part);
  if (changed.length > 0) changed[rng.integer(changed.length)] = rng.integer(oneIn(rng, 3) ? 256 : 32);
  return changed;
}

/** A number in Thrift's compact form in the place of whatever stands there. */
function withNumber(part: Uint8Array, rng: Random): Uint8Array {
  const at = rng.integer(part.length + 1);
  let end = at;
  while (end < part.length && part[end]! >= 0x80) end++;
  return Buffer.concat([part.subarray(0, at), varint(pick(rng, NUMBERS)), part.subarray(end + 1)]);
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.from([...bytes, Number(rest)]);
}

/** Zigzag: 2n is n, 2n − 1 is −n. */
const NUMBERS: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 4n, 5n, 8n, 16n, 20n, 24n, 600n, 2000n, 20_000n, 2n ** 21n, 2n ** 26n, 2n ** 27n, 2n ** 31n],
  ...[
    2n ** 32n - 1n,
    2n ** 32n,
    2n ** 33n,
    2n ** 53n,
    2n ** 54n,
    2n ** 63n,
    2n ** 64n - 1n,
    2n ** 64n - 2n,
    2n ** 70n,
  ],
];

/** What the rows are, after their numbers were checked. */
async function valuesOf(file: string): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const row of readRows(file)) {
    if (isBroken(row)) broken('a row of a Parquet file is broken by itself');
    if (row.line !== values.length + 1) broken(`row ${values.length + 1} has the number ${row.line}`);
    values.push(row.value);
  }
  return values;
}

/** Reading again and writing files for copies doubles the time: some will do. */
function isThorough(input: FuzzInput): boolean {
  return input.get(FILE)!.length % 4 === 0;
}

/** Rows are JSON: as JSON lines they are the same ones. */
async function checkCopy(values: readonly unknown[], { scratch }: Sandbox): Promise<void> {
  const copy = path.join(scratch, 'copy.jsonl');
  await writeFile(copy, values.map((value) => JSON.stringify(value)).join('\n'));
  const again = await valuesOf(copy);
  if (JSON.stringify(again) !== JSON.stringify(values)) broken('rows changed by writing and reading');
}
