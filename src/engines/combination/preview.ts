import type {
  CombinedLayer,
  CombinedModule,
  CombinedPair,
  CombinedUpdates,
} from '../../adapters/combining/combination.js';
import { isJsonObject } from '../../common/json.js';
import type { Problem } from '../../common/problem.js';

/** What `combine --preview --json` prints, as far as it is shown. */
export interface CombinationPreview {
  readonly from: readonly { readonly folder: string; readonly peft_type: string; readonly weight: number }[];
  readonly numbers: number;
  /** Of single numbers and whole tensors: how many more than one of the adapters changes. */
  readonly overlap?: number;
  readonly modules: readonly CombinedModule[];
  readonly layers: readonly CombinedLayer[];
  /** All modules as one update. */
  readonly total: CombinedUpdates;
  readonly warnings: readonly Problem[];
}

/** The command line is our own program: its modules are enough to know its document. */
export function isPreview(value: unknown): value is CombinationPreview {
  return isJsonObject(value) && Array.isArray(value['modules']) && Array.isArray(value['from']);
}

/** A number of a module, a layer or the whole that a map can show. */
export type Quantity =
  | { readonly kind: 'norm' }
  /** Of one adapter's update, by its place among them. */
  | { readonly kind: 'own-norm'; readonly at: number }
  | { readonly kind: 'cosine' }
  | { readonly kind: 'shared' }
  | { readonly kind: 'signs' }
  | { readonly kind: 'lost' }
  | { readonly kind: 'pruned' }
  | { readonly kind: 'outvoted' }
  | { readonly kind: 'rank' };

/** A quantity's name, for a list of them and to keep what was chosen. */
export function quantityKey(quantity: Quantity): string {
  return quantity.kind === 'own-norm' ? `own-norm-${quantity.at}` : quantity.kind;
}

/** What a preview has numbers of, what matters most first. */
export function quantitiesOf({ from, modules }: CombinationPreview): readonly Quantity[] {
  const all: readonly Quantity[] = [
    { kind: 'norm' },
    ...from.map((_, at): Quantity => ({ kind: 'own-norm', at })),
    { kind: 'signs' },
    { kind: 'cosine' },
    { kind: 'shared' },
    { kind: 'lost' },
    { kind: 'pruned' },
    { kind: 'outvoted' },
    { kind: 'rank' },
  ];
  return all.filter((quantity) => {
    // Of one adapter the norm is that of the sum; ranks that are all alike stand above.
    if (quantity.kind === 'own-norm') return from.length > 1 && modules.length > 0;
    const values = modules.map((each) => valueOf(each, quantity));
    if (quantity.kind === 'lost') return values.some((value) => value !== undefined && value !== 0);
    if (quantity.kind === 'rank') return new Set(values).size > 1;
    return values.some((value) => value !== undefined);
  });
}

/** A quantity of a module, a layer or the whole; of several pairs of adapters the mean. Undefined: there is none. */
export function valueOf(
  updates: CombinedUpdates & { readonly rank?: number },
  quantity: Quantity,
): number | undefined {
  switch (quantity.kind) {
    case 'norm':
      return updates.norm;
    case 'own-norm':
      return updates.norms[quantity.at];
    case 'cosine':
      return meanOf(updates.pairs, ({ cosine }) => cosine);
    case 'shared':
      return meanOf(updates.pairs, ({ shared }) => shared);
    case 'signs':
      return meanOf(updates.pairs, ({ signConflicts }) => signConflicts);
    case 'lost':
      return updates.error;
    case 'pruned':
      return updates.pruned?.squares;
    case 'outvoted':
      return updates.outvoted?.squares;
    case 'rank':
      return updates.rank;
  }
}

/** What two adapters drawn at random would share; of several pairs the mean. */
export function sharedByChance({ pairs }: CombinedUpdates): number | undefined {
  return meanOf(pairs, (pair) => pair.sharedByChance);
}

function meanOf(
  pairs: readonly CombinedPair[],
  number: (pair: CombinedPair) => number | null,
): number | undefined {
  const numbers = pairs.map(number).filter((each) => each !== null);
  return numbers.length === 0 ? undefined : numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
}

/** Least and largest rank of the modules; undefined where there are none of low rank. */
export function ranksOf(modules: readonly { readonly rank?: number }[]): readonly [number, number] | undefined {
  const ranks = modules.flatMap(({ rank }) => (rank === undefined ? [] : [rank]));
  return ranks.length === 0 ? undefined : [Math.min(...ranks), Math.max(...ranks)];
}
