/**
 * What of an update Δ is left once W + Δ has been rounded to a type q: survived = ⟨q(W + Δ) − W, Δ⟩ / ‖Δ‖², the share of it that
 * the rounded weights still take in its own direction (1: whole, 0: rounded away), and error = ‖q(W + Δ) − (W + Δ)‖ / ‖Δ‖,
 * how large the rounding is beside it. A base that is read from a type lies on its levels: an update below half a step is
 * rounded back to W, whatever it was trained for.
 */
export interface SurvivedDelta {
  readonly survived: number;
  readonly error: number;
}

/** Sums over the numbers of a tensor, which add up over tensors. */
export interface DeltaSums {
  /** ⟨q(W + Δ) − W, Δ⟩ */
  readonly along: number;
  /** ‖q(W + Δ) − (W + Δ)‖² */
  readonly off: number;
  /** ‖Δ‖² */
  readonly whole: number;
}

export const NO_DELTA: DeltaSums = { along: 0, off: 0, whole: 0 };

/**
 * @param base W
 * @param merged W + Δ
 * @param written q(W + Δ), as it is read back
 */
export function deltaSums(base: Float32Array, merged: Float32Array, written: Float32Array): DeltaSums {
  let [along, off, whole] = [0, 0, 0];
  for (let i = 0; i < base.length; i++) {
    const delta = merged[i]! - base[i]!;
    along += (written[i]! - base[i]!) * delta;
    off += (written[i]! - merged[i]!) ** 2;
    whole += delta * delta;
  }
  return { along, off, whole };
}

export function addSums(a: DeltaSums, b: DeltaSums): DeltaSums {
  return { along: a.along + b.along, off: a.off + b.off, whole: a.whole + b.whole };
}

/** Of no update all survives. */
export function survivedDelta({ along, off, whole }: DeltaSums): SurvivedDelta {
  return whole === 0 ? { survived: 1, error: 0 } : { survived: along / whole, error: Math.sqrt(off / whole) };
}
