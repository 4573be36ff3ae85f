import type { Problem } from '../../common/problem.js';

/** Of the first adapter and of the second. */
export type Two<Each> = readonly [one: Each, other: Each];

/** How much two spaces have in common. */
export interface SharedSpace {
  /** φ of all directions: the mean of the squared cosines of the angles. Null where an update is 0. */
  readonly shared: number | null;
  /** What that is in the mean of spaces drawn at random. */
  readonly sharedByChance: number | null;
}

/** How alike the spaces are that two updates read from, or write to. */
export interface SpaceComparison extends SharedSpace {
  /** Principal angles in degrees, smallest first: as many as the smaller of the two ranks. */
  readonly angles: readonly number[];
  /** φ(i, j) of the first i directions of one and the first j of the other, [i][j] from 1, at most 8 of each. */
  readonly similarity: readonly (readonly number[])[];
}

/** Two updates of one module, or those of several added up. */
export interface UpdateComparison {
  /** ‖ΔW‖ (Frobenius) */
  readonly norms: Two<number>;
  /** ⟨ΔW₁, ΔW₂⟩ / (‖ΔW₁‖·‖ΔW₂‖). Null where an update is 0. */
  readonly cosine: number | null;
  /** Share of the numbers that have opposite signs, of those that neither leaves at 0; half by chance. */
  readonly signConflicts: number | null;
}

/** A module that both adapters change. */
export interface ComparedModule extends UpdateComparison {
  /** `model.layers.3.self_attn.q_proj` */
  readonly path: string;
  /** `model.layers.3`; '' beside the layers. */
  readonly layer: string;
  /** `q_proj` */
  readonly kind: string;
  /** [out, in] of ΔW */
  readonly shape: Two<number>;
  /** Singular values of ΔW that are not 0. */
  readonly ranks: Two<number>;
  /** The column spaces of both ΔW. */
  readonly outputs: SpaceComparison;
  /** Their row spaces. */
  readonly inputs: SpaceComparison;
}

/** The modules of a layer, or of a kind. */
export interface ComparedGroup extends UpdateComparison {
  readonly name: string;
  readonly modules: number;
  /** Means over the modules. */
  readonly outputs: SharedSpace;
  readonly inputs: SharedSpace;
}

/** Two adapters side by side. Plain data: the command line prints it, the editor shows it. */
export interface AdapterComparison {
  readonly adapters: Two<{
    /** Absolute. */
    readonly folder: string;
    readonly method: string;
    readonly base: string | null;
    readonly trainable: number;
    readonly modules: number;
  }>;
  readonly modules: readonly ComparedModule[];
  readonly layers: readonly ComparedGroup[];
  readonly kinds: readonly ComparedGroup[];
  readonly total: ComparedGroup;
  /** Modules that the first alone changes, and the second. */
  readonly alone: Two<readonly string[]>;
  readonly problems: readonly Problem[];
}
