import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Random } from '../common/random.js';
import { plainProducts, transposed } from '../linalg/products.js';
import type { MatrixProducts } from '../linalg/products.js';
import { thinQr } from '../linalg/qr.js';
import { randomizedTriplets, singularTriplets, tripletsWorkBytes } from '../linalg/svd.js';
import type { SingularTriplets } from '../linalg/svd.js';
import type { LoraOptions } from './lora.js';
import type { LowRankPair } from './lowRankPair.js';
import type { AttachContext, Prepared, WeightWork } from './method.js';
import { parameterSize } from './parameters.js';
import type { OptionProblem } from './targets.js';

/** How A and B start. */
export type LoraInit = LoraOptions['init_lora_weights'];

/** Starts that are made of the weight itself. */
type BaseInit = Exclude<LoraInit, boolean | 'gaussian' | 'orthogonal'>;

/** Numbers of A [r, in] and B [out, r]. */
export type Factors = readonly [a: Float32Array, b: Float32Array];

/** Whether B·A starts as a part of the weight, which the base then lacks: what is learned is B·A − B₀·A₀. */
export function startsFromBase(init: LoraInit): init is BaseInit {
  return typeof init === 'string' && init !== 'gaussian' && init !== 'orthogonal';
}

/** Half of the largest rank that is read: saved it is twice as large. */
const MOST_TAKEN = 2048;

/** @throws ProblemError `lora.odd-rank`, `lora.init-rank` where a pair cannot start so */
export function checkStart(pairs: Iterable<LowRankPair>, init: LoraInit): void {
  for (const { site, r } of pairs) {
    if (site.kind === 'embedding') continue;
    const most = Math.min(...site.shape, MOST_TAKEN);
    if (init === 'orthogonal' && r % 2 !== 0) {
      const problem: OptionProblem = {
        code: 'lora.odd-rank',
        message: l10n.t`init_lora_weights: orthogonal takes an even rank, ${site.path} has ${r}`,
        mend: l10n.t`Set r (or its entry in rank_pattern) to ${r + 1}.`,
        option: ['init_lora_weights'],
      };
      fail(problem);
    }
    if (startsFromBase(init) && r > most) {
      const problem: OptionProblem = {
        code: 'lora.init-rank',
        message: l10n.t`init_lora_weights: ${init} finds no ${r} parts in ${site.path} [${site.shape.join(', ')}]`,
        expected: l10n.t`a rank of at most ${most}`,
        mend: l10n.t`Lower r, or give the module a rank of its own in rank_pattern.`,
        option: ['init_lora_weights'],
      };
      fail(problem);
    }
  }
}

/**
 * Starting values as PEFT's `LoraLayer` has them, where they are not made of the weight. Kaiming uniform with slope √5
 * (He et al. 2015, eq. 14) is U(−1/√fan_in, 1/√fan_in). `orthogonal`: A = (G₁Q₁)ᵀ/10 and B = G₂Q₂/10 with normal G₁, G₂
 * and the rows of a random orthogonal Q [r, r] by turns in Q₁ and Q₂, so that B·A = 0 though neither is.
 *
 * An embedding starts with A zero and B normal, whatever the option says but `false`.
 */
export function drawnStart(pair: LowRankPair, init: LoraInit, random: Random): Factors {
  const { a, b, r, site } = pair;
  const [sizeA, sizeB] = [parameterSize(a.shape), parameterSize(b.shape)];
  if (site.kind === 'embedding') {
    const startA = init === false ? filled(sizeA, () => random.normal()) : new Float32Array(sizeA);
    return [startA, filled(sizeB, () => random.normal())];
  }
  if (init === 'orthogonal') return orthogonalStart(sizeA / r, sizeB / r, r, random);
  const bound = 1 / Math.sqrt(sizeA / r);
  const startA =
    init === 'gaussian' ? filled(sizeA, () => random.normal() / r) : uniformNumbers(sizeA, bound, random);
  return [startA, init === false ? uniformNumbers(sizeB, 1 / Math.sqrt(r), random) : new Float32Array(sizeB)];
}

/** Numbers of U(−bound, bound). */
export function uniformNumbers(size: number, bound: number, random: Random): Float32Array {
  return filled(size, () => (2 * random.uniform() - 1) * bound);
}

function filled(size: number, value: () => number): Float32Array {
  const values = new Float32Array(size);
  // Float32Array.from takes ten times as long, of millions of numbers.
  for (let at = 0; at < size; at++) values[at] = value();
  return values;
}

function orthogonalStart(inSize: number, outSize: number, r: number, random: Random): Factors {
  const normals = (size: number): Float64Array => Float64Array.from({ length: size }, () => random.normal());
  const { q } = thinQr(normals(r * r), r, r);
  // Rows of Q by turns: what B's have in common with A's is nothing.
  const mixed = (rows: number, first: 0 | 1): Float32Array => {
    const half = r / 2;
    const draws = normals(rows * half);
    const result = new Float32Array(rows * r);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < r; j++) {
        let sum = 0;
        for (let k = 0; k < half; k++) sum += draws[i * half + k]! * q[(2 * k + first) * r + j]!;
        result[i * r + j] = sum / 10;
      }
    }
    return result;
  };
  return [transposed(mixed(inSize, 0), inSize, r), mixed(outSize, 1)];
}

/**
 * A₀ and B₀ of one weight W [out, in], with s·B₀·A₀ the part of W that is taught:
 *
 * - `pissa`, `pissa_niter_K` (Meng, Wang & Zhang 2024, eq. 2–4): the r largest singular values, A₀ = √(S/s)·Vᵀ and
 *   B₀ = U·√(S/s); with a K by random projection and K subspace iterations (PEFT's `torch.svd_lowrank`, which takes no
 *   columns beside the r: here there are ten more);
 * - `milora` (Wang et al. 2024, eq. 5–7): the r smallest in the same way. PEFT has none;
 * - `olora` (Büyükakyüz 2024, algorithm 1): the first r columns of Q and rows of R in W = Q·R. As in PEFT, s·B₀·A₀ is
 *   taken off the base, so that the part is s times that.
 *
 * A Conv1D's weight is taken as [out, in] by all of them; PEFT's `olora` takes it as it lies, and fails.
 */
async function factorsOf(
  w: MatrixProducts,
  { r, scale }: Pick<LowRankPair, 'r' | 'scale'>,
  init: BaseInit,
  random: Random,
): Promise<Factors> {
  switch (init) {
    case 'olora': {
      const { q, r: upper } = thinQr(w.matrix, w.rows, w.columns, r);
      return [Float32Array.from(upper), Float32Array.from(q)];
    }
    case 'pissa':
      return balanced(await singularTriplets(w, r, 'largest'), scale);
    case 'milora':
      return balanced(await singularTriplets(w, r, 'smallest'), scale);
    default:
      return balanced(await randomizedTriplets(w, r, Number(init.slice('pissa_niter_'.length)), random), scale);
  }
}

/** √(S/s)·Vᵀ and U·√(S/s). */
function balanced({ u, s, v }: SingularTriplets, scale: number): Factors {
  const r = s.length;
  const scaled = (x: Float64Array): Float32Array =>
    Float32Array.from(x, (value, at) => value * Math.sqrt(s[at % r]! / scale));
  return [transposed(scaled(v), v.length / r, r), scaled(u)];
}

/**
 * A₀ and B₀ of all pairs that start from their weight, by the names of their variables without the instance: decompositions
 * that a resumed run need not compute again.
 */
export async function preparedStarts(
  pairs: Iterable<LowRankPair>,
  init: BaseInit,
  context: Pick<AttachContext, 'read' | 'random' | 'instance'> & { readonly weightWork?: WeightWork },
): Promise<Prepared> {
  const { products = plainProducts, progress } = context.weightWork ?? {};
  const prepared = new Map<string, Float32Array>();
  const waiting = [...pairs].filter(({ initial }) => initial !== undefined);
  for (const [done, pair] of waiting.entries()) {
    await progress?.(done, waiting.length);
    const { site, initial } = pair;
    const [rows, columns] = site.shape as [number, number];
    const stored = Float64Array.from(await context.read(site.weight!));
    const w = site.layout === 'in-out' ? transposed(stored, columns, rows) : stored;
    const random = context.random('lora', site.path);
    const [a, b] = await factorsOf(products(w, rows, columns), pair, init, random);
    prepared.set(ownName(initial!.a.name, context), a);
    prepared.set(ownName(initial!.b.name, context), b);
  }
  return prepared;
}

/**
 * Bytes that {@link preparedStarts} holds at once for one pair, beside what it found: the weight, read as float32 and taken in double
 * precision, and the larger matrices that are made of it.
 */
export function startWorkBytes({ site, r }: Pick<LowRankPair, 'site' | 'r'>, init: BaseInit): number {
  const [rows, columns] = site.shape as [number, number];
  const [single, double] = [4 * rows * columns, 8 * rows * columns];
  const work = (): number => {
    switch (init) {
      case 'olora':
        return double + 16 * r * rows;
      case 'pissa':
      case 'milora':
        return tripletsWorkBytes(rows, columns);
      default:
        return 24 * Math.min(r + 10, rows, columns) * (rows + columns);
    }
  };
  return double + (site.layout === 'in-out' ? double : 0) + Math.max(single, work());
}

/** What {@link preparedStarts} found for a pair. @throws ProblemError `method.not-prepared` */
export function preparedStart(
  { site, initial }: LowRankPair,
  context: Pick<AttachContext, 'prepared' | 'instance'>,
): Factors {
  const [a, b] = [initial!.a, initial!.b].map((each) => {
    const found = context.prepared?.get(ownName(each.name, context));
    if (found instanceof Float32Array && found.length === parameterSize(each.shape)) return found;
    return fail({
      code: 'method.not-prepared',
      message: l10n.t`LoRA has no start for ${site.path}`,
      mend: l10n.t`Start the run anew: what it found out about the base model is not that of these methods.`,
    });
  });
  return [a!, b!];
}

function ownName(name: string, { instance = '' }: Pick<AttachContext, 'instance'>): string {
  return name.slice(instance.length);
}
