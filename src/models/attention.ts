import { addDims, multiplyDims } from '../tensor/dims.js';
import type { Dim } from '../tensor/dims.js';
import { iota, dimValue } from '../tensor/ops/dimValue.js';
import { add, and, cast, equal, less, lessOrEqual, mul, sub, tanh, where } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import { softmax } from '../tensor/ops/reduce.js';
import { concat, expand, reshape, transpose } from '../tensor/ops/shape.js';
import { recomputed } from '../tensor/recompute.js';
import type { Tensor } from '../tensor/tensor.js';
import { scalar } from '../tensor/tensor.js';
import type { DecoderInputs } from './architecture.js';

/** Far below any score, yet finite: a row without any allowed key stays free of NaN. */
const MASKED = -1e30;

/**
 * Longest rows whose attention weights, sequence² numbers per head, are kept for the backward pass. They grow to most
 * of what a layer keeps (at 256 tokens a third), while computing them again takes at most 2 % of a step.
 */
const LONGEST_KEPT = 128;

/** Further back than any position: the largest int32. */
const NO_WINDOW = 2 ** 31 - 1;

/** What queries may see. */
export interface AttentionMask {
  /**
   * Added to the scores: 0 where a query may see a key, else a very low number,
   * [batch, 1, 1, sequence, front + past + sequence].
   */
  readonly added: Tensor;
  /** Whether the backward pass computes the weights again. */
  readonly recomputes: boolean;
}

/**
 * A query sees keys of its own segment that stand no later than itself and, with a sliding window, fewer than
 * `window` places before.
 *
 * @param front keys before all others, which belong to every segment; the positions of the inputs start behind them
 */
export function causalMask(inputs: DecoderInputs, window: number | undefined, front = 0): AttentionMask {
  const { segments, cache } = inputs;
  const [batch, sequence] = segments.shape as [Dim, Dim];
  const past = cache === undefined ? 0 : cache.segments.shape[1]!;
  const total = addDims(past, sequence);
  const keySegments = cache === undefined ? segments : concat([cache.segments, segments], 1);
  const queries = queryColumns(sequence, past);
  const keys = reshape(iota(total), [1, total]);
  let allowed = and(ownSegment(segments, keySegments), lessOrEqual(keys, queries));
  if (window !== undefined) allowed = and(allowed, less(sub(queries, keys), window));
  if (front > 0) allowed = concat([frontAllowed(inputs, window, front), allowed], 2);
  return {
    added: reshape(where(allowed, scalar(0), scalar(MASKED)), [batch, 1, 1, sequence, addDims(front, total)]),
    recomputes: inputs.positionLimit > LONGEST_KEPT,
  };
}

/**
 * A query sees all keys of its own segment, before it and behind it: an encoder's attention.
 *
 * @param front keys before all others, which belong to every segment
 */
export function segmentMask(
  { segments, positionLimit }: Pick<DecoderInputs, 'segments' | 'positionLimit'>,
  front = 0,
): AttentionMask {
  const [batch, sequence] = segments.shape as [Dim, Dim];
  const own = equal(reshape(segments, [batch, sequence, 1]), reshape(segments, [batch, 1, sequence]));
  const added = where(own, scalar(0), scalar(MASKED));
  const seen = expand(scalar(0), [batch, sequence, front]);
  return {
    added: reshape(front === 0 ? added : concat([seen, added], 2), [
      batch,
      1,
      1,
      sequence,
      addDims(front, sequence),
    ]),
    recomputes: positionLimit > LONGEST_KEPT,
  };
}

/**
 * A decoder's queries see all keys of an encoder that are of their own segment.
 * @param keys segments [batch, total] of the encoder's tokens
 */
export function crossMask({ segments, positionLimit }: DecoderInputs, keys: Tensor): AttentionMask {
  const [batch, sequence] = segments.shape as [Dim, Dim];
  const added = where(ownSegment(segments, keys), scalar(0), scalar(MASKED));
  return {
    added: reshape(added, [batch, 1, 1, sequence, keys.shape[1]!]),
    recomputes: positionLimit > LONGEST_KEPT,
  };
}

/** Queries [batch, sequence] and keys [batch, total] of equal numbers: [batch, sequence, total] */
function ownSegment(queries: Tensor, keys: Tensor): Tensor {
  const [batch, sequence] = queries.shape as [Dim, Dim];
  const total = keys.shape[1]!;
  return equal(reshape(queries, [batch, sequence, 1]), reshape(keys, [batch, 1, total]));
}

/**
 * How many places each key stands behind a query, below 0 before it: int32 [sequence, past + sequence]. Columns count,
 * which within a segment lie as far apart as positions.
 * @param past keys before the first query
 */
export function keyDistances(sequence: Dim, past: Dim): Tensor {
  const total = addDims(past, sequence);
  return sub(reshape(iota(total), [1, total]), queryColumns(sequence, past));
}

/** The columns of queries behind `past` others: int32 [sequence, 1] */
function queryColumns(sequence: Dim, past: Dim): Tensor {
  return reshape(cast(add(cast(iota(sequence), 'int64'), dimValue(past, 'int64')), 'int32'), [sequence, 1]);
}

/** Which keys in front a query sees, [batch, sequence, front]: those within its window. */
function frontAllowed({ positions }: DecoderInputs, window: number | undefined, front: number): Tensor {
  const [batch, sequence] = positions.shape as [Dim, Dim];
  const back = sub(reshape(positions, [batch, sequence, 1]), reshape(iota(front), [1, 1, front]));
  return less(back, window ?? NO_WINDOW);
}

/**
 * Grouped-query attention (Ainslie et al. 2023; with one query head per key head Vaswani et al. 2017, eq. 1):
 * each group of query heads shares a key and value head, without copying them.
 *
 * @param q [batch, heads, sequence, d]
 * @param k [batch, keyHeads, total, d]
 * @param v [batch, keyHeads, total, d]
 * @param scale of the scores
 * @param cap scores s become cap · tanh(s / cap) before they are masked (Gemma 2 Team 2024, section 2)
 * @returns [batch, sequence, heads · d]
 */
export function attend(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, scale: number, cap?: number): Tensor {
  const [batch, heads, sequence, d] = q.shape as [Dim, number, Dim, number];
  const [, keyHeads, total] = k.shape as [Dim, number, Dim];
  const group = heads / keyHeads;
  const grouped = reshape(q, [batch, keyHeads, multiplyDims(sequence, group), d]);
  const scored = matmul(grouped, k, { transposeB: true, alpha: scale / (cap ?? 1) });
  const capped = cap === undefined ? scored : mul(tanh(scored), cap);
  const scores = reshape(capped, [batch, keyHeads, group, sequence, total]);
  const normalized = softmax(add(scores, mask.added));
  const weights = reshape(normalized, [batch, keyHeads, multiplyDims(sequence, group), total]);
  const kept = mask.recomputes ? recomputed(weights, [q, k, mask.added]) : weights;
  const mixed = reshape(matmul(kept, v), [batch, heads, sequence, d]);
  return reshape(transpose(mixed, [0, 2, 1, 3]), [batch, sequence, heads * d]);
}

/** [batch, sequence, heads · d] → [batch, heads, sequence, d] */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [batch, sequence, width] = x.shape as [Dim, Dim, number];
  return transpose(reshape(x, [batch, sequence, heads, width / heads]), [0, 2, 1, 3]);
}
