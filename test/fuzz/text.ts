import type { Random } from '../../src/common/random.js';
import { mutateBytes } from './bytes.js';
import { oneIn, pick } from './target.js';

const NUMBERS = [
  '0',
  '-1',
  '1.5',
  '1e999',
  '-1e999',
  '1e-400',
  '9007199254740993',
  '18446744073709551616',
  '1e9',
  '0x1F',
];

/** Changes a text by lines, words and numbers; `pieces` are what the format's texts are made of. */
export function mutateText(bytes: Uint8Array, rng: Random, pieces: readonly string[]): Uint8Array {
  if (oneIn(rng, 5)) return mutateBytes(bytes, rng);
  const text = Buffer.from(bytes).toString('utf8');
  const lines = text.split('\n');
  const at = rng.integer(lines.length);
  const line = lines[at]!;
  const joined = (changed: readonly string[]): Uint8Array => Buffer.from(changed.join('\n'));
  switch (rng.integer(10)) {
    case 0:
      return joined(lines.toSpliced(at, 1));
    case 1:
      return joined(lines.toSpliced(at, 0, pick(rng, lines)));
    case 2:
      return joined(lines.toSpliced(at, 0, pick(rng, pieces)));
    case 3:
      return joined(lines.with(at, pick(rng, ['  ', '\t', '- ', '? ', '"', "'"]) + line));
    case 4:
      return joined(lines.with(at, line.trimStart()));
    case 5:
      return joined(lines.with(at, replaceOne(line, /\S+/g, pick(rng, pieces), rng)));
    case 6:
      return Buffer.from(replaceOne(text, /\d[\d.e-]*/g, pick(rng, NUMBERS), rng));
    case 7:
      return joined(lines.with(at, line.repeat(1 + rng.integer(oneIn(rng, 50) ? 2000 : 20))));
    case 8:
      return Buffer.from(text.replaceAll('\n', pick(rng, ['\r\n', '\r', ' ', '\n\n', '\u2028', '\n\t'])));
    default: {
      const position = rng.integer(text.length + 1);
      return Buffer.from(text.slice(0, position) + pick(rng, pieces) + text.slice(position));
    }
  }
}

function replaceOne(text: string, what: RegExp, by: string, rng: Random): string {
  const found = [...text.matchAll(what)];
  if (found.length === 0) return text + by;
  const { index, 0: old } = pick(rng, found);
  return text.slice(0, index) + by + text.slice(index + old.length);
}
