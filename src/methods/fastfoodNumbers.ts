import { random, shuffle } from '../common/random.js';
import { normalQuantiles } from '../linalg/normalQuantiles.js';
import { walshHadamard } from '../linalg/walshHadamard.js';

/** The random numbers below; another way to draw them is another version. Adapters on disk name it. */
export const FASTFOOD_VERSION = 1;

/** Bits of a word that choose a normal number: as many quantiles stand for the distribution. */
export const NORMAL_BITS = 12;

let quantiles: Float32Array | undefined;

/** Those quantiles, in single precision, as the graph has them; not computed while nobody asks. */
export function normals(): Float32Array {
  return (quantiles ??= Float32Array.from(normalQuantiles(2 ** NORMAL_BITS)));
}

/**
 * 32 random bits for each place of a grid, of which the upper ones are the better: ((row xor column) · multiplier) mod 2³²,
 * as in `tensor/ops/random.ts`, so that only rows and columns are drawn and the rest costs two ops.
 */
export interface Words {
  readonly rows: Uint32Array;
  /** One per row, odd. */
  readonly multipliers: Uint32Array;
  readonly columns: Uint32Array;
}

/**
 * The random parts of a Fastfood transform P (Le, Sarlós & Smola 2013) from R^inputs to a tensor of `size` numbers:
 *
 *     P z = S · H·G·Π·H·B·z     H of `length` = 2^⌈log₂ size⌉, cut to `size` numbers
 *
 * B random signs, Π a permutation, G normal numbers on a diagonal, S = 1 / √(size · ΣG²), which keeps ‖Pz‖ ≈ ‖z‖ (as in the
 * code of Aghajanyan et al. 2021). Where z has more numbers than `length`, it is dealt out to `blocks` such transforms
 * whose results are added; where it has fewer, H·B·z has a period, of which `width` numbers are computed.
 *
 * Π turns the columns of a grid, each row's by a number of its own (xor), after its rows and columns were shuffled: random
 * places by one op per number.
 */
export interface Fastfood {
  readonly size: number;
  readonly inputs: number;
  readonly length: number;
  readonly blocks: number;
  readonly width: number;
  /** Of the blocks' `width` numbers. */
  readonly signs: Words;
  /** Of the blocks' `length` numbers, in the upper bits. */
  readonly normals: Words;
  /** Where among the blocks' `width` numbers a place of Π's grid reads: row xor column. */
  readonly places: { readonly rows: Int32Array; readonly columns: Int32Array };
}

/**
 * Draws a transform.
 * @param seed with `name` it names the random numbers
 */
export function fastfood(size: number, inputs: number, seed: number, name: string): Fastfood {
  const bits = Math.max(1, Math.ceil(Math.log2(size)));
  const length = 2 ** bits;
  const blocks = Math.ceil(inputs / length);
  const widthBits = blocks === 1 ? Math.ceil(Math.log2(inputs)) : bits;
  const words = (role: string, count: readonly [number, number]): Words => {
    const draw = random(seed, 'fastfood', name, role);
    const word = (): number => draw.integer(2 ** 32);
    return {
      rows: new Uint32Array(blocks * count[0]).map(word),
      multipliers: new Uint32Array(blocks * count[0]).map(() => (word() | 1) >>> 0),
      columns: new Uint32Array(count[1]).map(word),
    };
  };
  const grid = gridOf(bits);
  const [rows, columns] = grid;
  const width = 2 ** widthBits;
  const places = { rows: new Int32Array(blocks * rows), columns: new Int32Array(blocks * columns) };
  for (let block = 0; block < blocks; block++) {
    const draw = random(seed, 'fastfood', name, 'places', block);
    const [rowOrder, columnOrder] = [
      shuffle([...Array(rows).keys()], draw),
      shuffle([...Array(columns).keys()], draw),
    ];
    rowOrder.forEach((row, at) => {
      const place = (row * columns + draw.integer(columns)) & (width - 1);
      places.rows[block * rows + at] = block * width + place;
    });
    columnOrder.forEach((column, at) => (places.columns[block * columns + at] = column & (width - 1)));
  }
  return {
    size,
    inputs,
    length,
    blocks,
    width,
    signs: words('signs', gridOf(widthBits)),
    normals: words('normals', grid),
    places,
  };
}

/** 2^bits numbers as rows and columns. */
function gridOf(bits: number): readonly [rows: number, columns: number] {
  return [2 ** Math.ceil(bits / 2), 2 ** Math.floor(bits / 2)];
}

/** P z, in double precision. @param z [inputs] @returns [size] */
export function projected(transform: Fastfood, z: Float32Array): Float64Array {
  const { size, length, blocks, width, places } = transform;
  const table = new Float64Array(blocks * width);
  const { signs } = transform;
  z.forEach((value, at) => {
    const row = Math.floor(at / signs.columns.length);
    const word = Math.imul(signs.rows[row]! ^ signs.columns[at % signs.columns.length]!, signs.multipliers[row]!);
    table[at] = word < 0 ? -value : value;
  });
  walshHadamard(table, width);
  const values = normals();
  const { rows, multipliers, columns } = transform.normals;
  const [height, across] = [rows.length / blocks, columns.length];
  const sum = new Float64Array(length);
  for (let block = 0; block < blocks; block++) {
    // A large tensor has one block: no second vector of its size.
    const own = blocks === 1 ? sum : new Float64Array(length);
    const turned = places.columns.subarray(block * across, (block + 1) * across);
    let squares = 0;
    for (let row = block * height, at = 0; row < (block + 1) * height; row++) {
      const [key, factor, turn] = [rows[row]!, multipliers[row]!, places.rows[row]!];
      for (let column = 0; column < across; column++, at++) {
        const word = Math.imul(key ^ columns[column]!, factor);
        const normal = values[word >>> (32 - NORMAL_BITS)]!;
        squares += normal * normal;
        own[at] = normal * table[turn ^ turned[column]!]!;
      }
    }
    const scale = 1 / Math.sqrt(size * squares);
    for (let at = 0; at < length; at++) {
      if (own === sum) sum[at]! *= scale;
      else sum[at]! += scale * own[at]!;
    }
  }
  return walshHadamard(sum).subarray(0, size);
}
