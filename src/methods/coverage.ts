import type { Problem } from '../common/problem.js';

/** What a method took hold of. */
export interface MethodCoverage {
  /** One per entry of `target_modules` (and the like): the pattern and how many modules it matched. */
  readonly targets: readonly { readonly entry: string; readonly matched: number }[];
  readonly modules: readonly {
    readonly path: string;
    readonly shape: readonly number[];
    readonly trainable: number;
  }[];
  /** Trained or resting factors of which there is one for several modules; their numbers are told among the modules. */
  readonly shared?: readonly {
    readonly name: string;
    /** The modules that have it in common. */
    readonly paths: readonly string[];
  }[];
  readonly layersCovered: number;
  /** The classes that a head which trains along tells apart, by their number. */
  readonly classes?: readonly string[];
  /** The files that will be written and what they hold, in one sentence. */
  readonly saves: string;
  readonly warnings: readonly Problem[];
}

/** How many modules are covered: factors that several of them have in common are listed among them, and are none. */
export function moduleCount({ modules, shared = [] }: Pick<MethodCoverage, 'modules' | 'shared'>): number {
  const names = new Set(shared.map(({ name }) => name));
  return modules.filter(({ path }) => !names.has(path)).length;
}
