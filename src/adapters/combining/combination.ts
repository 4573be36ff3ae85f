import type { Two } from '../comparing/adapterComparison.js';

/** How the weighted updates of two adapters stand to each other, where both change something. */
export interface CombinedPair {
  /** Their places among the adapters, from 0. */
  readonly adapters: Two<number>;
  /** ⟨w₁·ΔW₁, w₂·ΔW₂⟩ / (‖w₁·ΔW₁‖·‖w₂·ΔW₂‖). Null where one is 0 all the same. */
  readonly cosine: number | null;
  /**
   * What both change. Of low-rank updates φ of their spaces, from 0 to 1 (Hu et al. 2021, section 7.2, eq. 4), the mean of
   * that of the outputs and that of the inputs; of others the share of numbers that both change, of those that either does.
   */
  readonly shared: number | null;
  /** What that is in the mean of spaces, or of places, drawn at random. */
  readonly sharedByChance: number | null;
  /** Share of the numbers that have opposite signs, of those that neither leaves at 0; half by chance. */
  readonly signConflicts: number | null;
}

/** A part of the numbers of all updates together. */
export interface PartOfNumbers {
  /** Share of how many are not 0. */
  readonly numbers: number;
  /** Share of the sum of their squares. */
  readonly squares: number;
}

/** Updates of one place, and what they become. */
export interface CombinedUpdates {
  /** ‖w·ΔW‖ (Frobenius) of each adapter; 0 where it changes nothing. */
  readonly norms: readonly number[];
  /** Of what they become. */
  readonly norm: number;
  /** ‖sum − what is kept of it‖ / ‖sum‖: what the rank costs. */
  readonly error: number;
  /** Every two that change something here. */
  readonly pairs: readonly CombinedPair[];
  /** What pruning took away, by the ways that prune. */
  readonly pruned?: PartOfNumbers;
  /** What of the rest had not the elected sign, with `ties` and `dare_ties`. */
  readonly outvoted?: PartOfNumbers;
}

/** One module, or of biases the module that has it. */
export interface CombinedModule extends CombinedUpdates {
  /** `model.layers.3.self_attn.q_proj` */
  readonly path: string;
  /** As `layers_to_transform` counts; null outside of the layers. */
  readonly layer: number | null;
  /** What the updates of each adapter are multiplied by here. */
  readonly weights: readonly number[];
  /** How many numbers the weight or bias has. */
  readonly size: number;
  /** Of the sum, where it is of low rank. */
  readonly rank?: number;
  /** Numbers that the result has for it. */
  readonly numbers: number;
}

/**
 * The modules of a layer as one update: all their numbers in one vector. What is shared is the mean over the modules, sign
 * conflicts the same by their sizes.
 */
export interface CombinedLayer extends CombinedUpdates {
  /** `model.layers.3`; '' beside the layers. */
  readonly name: string;
  readonly layer: number | null;
  readonly modules: number;
  readonly numbers: number;
}
