import type { Overlap } from './overlap.js';

/** Numbers of a layer or of a kind of module that are marked, of how many. */
export interface MarkedShare {
  readonly name: string;
  readonly marked: number;
  readonly size: number;
}

/** A mask, summed up. */
export interface MaskSummary {
  /** Absolute. */
  readonly folder: string;
  readonly method: string;
  readonly base: string | undefined;
  readonly marked: number;
  readonly size: number;
  /** In the order of the model; what belongs to no layer last, as ''. */
  readonly layers: readonly MarkedShare[];
  readonly kinds: readonly MarkedShare[];
}

/** The overlap of two masks in a layer or a kind of module. */
export interface NamedOverlap extends Overlap {
  readonly name: string;
}

/** Two of the masks. */
export interface MaskPair {
  /** Their places in the list of masks. */
  readonly one: number;
  readonly other: number;
  readonly total: Overlap;
  readonly layers: readonly NamedOverlap[];
  readonly kinds: readonly NamedOverlap[];
}

/** Masks of one base model, each by itself and each with each. Plain data: the command line and pages show it. */
export interface MaskReport {
  readonly masks: readonly MaskSummary[];
  readonly pairs: readonly MaskPair[];
}
