import path from 'node:path';
import type { JsonObject } from '../common/json.js';
import type { NamedIndices, NamedTensor } from '../methods/method.js';
import type { AdapterOnDisk } from './readAdapter.js';

/** An adapter and what its differences are multiplied by. */
export interface Part {
  readonly adapter: AdapterOnDisk;
  readonly weight: number;
}

/** What differences add up to. */
export interface Sum {
  /** Of the adapter that it is, but for its head and its task. */
  readonly config: JsonObject;
  readonly tensors: readonly NamedTensor[];
  readonly indices?: readonly NamedIndices[];
  /** Of single numbers and whole tensors: how many more than one of the adapters changes. */
  readonly overlap?: number;
  /** Of low-rank updates: what became of each module. */
  readonly modules?: readonly CombinedModule[];
}

/** One module's updates, and their sum. */
export interface CombinedModule {
  readonly path: string;
  /** Of the sum. */
  readonly rank: number;
  /** ‖w·ΔW‖ (Frobenius) of each adapter; 0 where it does not adapt the module. */
  readonly norms: readonly number[];
  /** Of the sum. */
  readonly norm: number;
  /** Mean cosine between two of the updates, as vectors; undefined where fewer than two are. */
  readonly cosine: number | undefined;
  /** ‖sum − what is kept of it‖ / ‖sum‖: what the rank costs. */
  readonly error: number;
}

/** The end of its path: a run's adapters are all called alike. */
export function nameOf({ adapter }: Part): string {
  return adapter.folder.split(path.sep).slice(-3).join('/');
}
