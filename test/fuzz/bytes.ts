import type { Random } from '../../src/common/random.js';
import { oneIn, pick } from './target.js';

/** Inputs stay small: what takes the square of its length shows in a MB. */
const MAX_BYTES = 2 ** 20;

/** Byte strings that readers of text and of binary headers stumble over. */
const PIECES: readonly Uint8Array[] = [
  [0xef, 0xbb, 0xbf],
  [0xff, 0xfe],
  [0xfe, 0xff],
  [0x00],
  [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0xff, 0xff, 0xff, 0x7f],
  [0x00, 0x00, 0x00, 0x80],
  [0, 0, 0, 0, 0, 0, 0x20, 0],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xe2, 0x80, 0xa8],
  [0xf0, 0x9f, 0x98, 0x80],
  [0x0d],
  [0x0d, 0x0a],
  [0x0a],
  [0x22],
  [0x5c],
  [0x1b, 0x5b, 0x32, 0x4a],
].map((bytes) => Uint8Array.from(bytes));

/** Changes bytes without knowing what they mean: flips, cuts, insertions, copies, splices. */
export function mutateBytes(bytes: Uint8Array, rng: Random, other: Uint8Array = bytes): Uint8Array {
  const at = rng.integer(bytes.length + 1);
  const length = Math.min(bytes.length - at, oneIn(rng, 3) ? rng.integer(bytes.length + 1) : rng.integer(9));
  const replaced = (piece: Uint8Array, cut: number): Uint8Array =>
    Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at + cut)]);
  switch (rng.integer(10)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return replaced(new Uint8Array(), length);
    case 2:
      return replaced(bytes.subarray(at, at + length), 0);
    case 3:
      return replaced(pick(rng, PIECES), 0);
    case 4: {
      const piece = pick(rng, PIECES);
      return replaced(piece, piece.length);
    }
    case 5:
      return replaced(
        Uint8Array.from({ length: rng.integer(32) }, () => rng.integer(256)),
        0,
      );
    case 6: {
      const from = rng.integer(other.length + 1);
      return replaced(other.subarray(from, from + rng.integer(64)), length);
    }
    case 7:
      return repeated(bytes, rng, at, length);
    case 8:
      return Buffer.concat([bytes, pick(rng, PIECES)]);
    default: {
      const copy = Uint8Array.from(bytes);
      for (let flips = 1 + rng.integer(4); flips > 0 && copy.length > 0; flips--) {
        copy[rng.integer(copy.length)]! ^= 1 << rng.integer(8);
      }
      return copy;
    }
  }
}

/** A part many times over: shows what takes the square of the length. Rarely big, or the run takes days. */
function repeated(bytes: Uint8Array, rng: Random, at: number, length: number): Uint8Array {
  const part = bytes.subarray(at, at + length);
  const most = oneIn(rng, 100) ? MAX_BYTES : 2 ** 12;
  const times = part.length === 0 ? 0 : Math.floor(most / part.length);
  return Buffer.concat([bytes.subarray(0, at), ...Array.from({ length: times }, () => part), bytes.subarray(at)]);
}
