import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import type { JsonObject } from '../../common/json.js';
import type { NamedIndices, NamedTensor } from '../../methods/method.js';
import type { Site } from '../../models/site.js';
import type { CombinedModule } from './combination.js';
import type { LayerWeights } from './layerWeights.js';
import type { AdapterOnDisk } from '../readAdapter.js';
import { adapterName } from '../sameBase.js';

/** An adapter and what its differences are multiplied by. */
export interface Part {
  readonly adapter: AdapterOnDisk;
  readonly weight: number;
  /** In some modules, instead of `weight`. */
  readonly layerWeights?: LayerWeights;
}

/** One whose weight in each module is known. */
export interface WeighedPart extends Part {
  readonly weightIn: (site: Site) => number;
}

/** What the tensors of an adapter are, that is added to the base's numbers. */
export type Differences = NonNullable<AdapterOnDisk['format']['differences']>;

/** What differences add up to. */
export interface Sum {
  /** Of the adapter that it is, but for its head and its task. */
  readonly config: JsonObject;
  readonly tensors: readonly NamedTensor[];
  readonly indices?: readonly NamedIndices[];
  /** Of single numbers and whole tensors: how many more than one of the adapters changes. */
  readonly overlap?: number;
  /** What became of each module. */
  readonly modules: readonly CombinedModule[];
}

/** What an adapter is called in messages. */
export function nameOf({ adapter }: Part): string {
  return adapterName(adapter);
}

/** @throws ProblemError `combine.nothing` where no module has a weight other than 0 */
export function nothingLeft(): never {
  return fail({
    code: 'combine.nothing',
    message: l10n.t`nothing is left of the adapters: in each module that they change their weights are 0`,
    expected: l10n.t`a weight other than 0 in some module`,
  });
}
