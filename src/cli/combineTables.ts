import type { CombinedModule, CombinedPair, CombinedUpdates } from '../adapters/combining/combination.js';
import { combinedLayers } from '../adapters/combining/combinedLayers.js';
import { placeOfModule } from '../adapters/trainedShares.js';
import { formatPercent } from '../common/format.js';
import { splitAtLayer } from '../models/tensorPlace.js';
import { table } from './table.js';

/** Norms of more adapters than this do not fit beside the rest: the JSON has them. */
const MOST_NORMS = 4;

/** Updates and what they become: each layer, and below it its modules. */
export function combinedTable(modules: readonly CombinedModule[]): string {
  const { layers, total } = combinedLayers(modules);
  const adapters = total.norms.length > MOST_NORMS ? 0 : total.norms.length;
  const rows = layers.flatMap((layer) => [
    [layer.name === '' ? 'beside the layers' : layer.name, '', ...cells(layer)],
    ...modules
      .filter(({ path }) => placeOfModule(path).layer === layer.name)
      .map((each) => [`  ${splitAtLayer(each.path).inside}`, String(each.rank ?? ''), ...cells(each)]),
  ]);
  const norms = Array.from({ length: adapters }, (_, at) => `norm ${at + 1}`);
  const heading = ['Layer', 'rank', ...norms, 'sum', 'cosine', 'shared', ...SHARES];
  const shown = table(inUse([heading, ...rows, ['all', '', ...cells(total)]]));
  return total.pairs.length === 0 ? shown : `${shown}\n\n${LEGEND}`;
}

const LEGEND = [
  'shared: of what two adapters change, what both do / would by chance.',
  'signs: the share of numbers whose signs differ; half by chance.',
].join('\n');
const SHARES = ['signs', 'pruned', 'outvoted', 'lost'] as const;

/** Of several pairs the smallest cosine, and most of what else two have to do with each other. */
function cells({ norms, norm, error, pairs, pruned, outvoted }: CombinedUpdates): readonly string[] {
  const cosines = pairs.flatMap(({ cosine }) => cosine ?? []);
  return [
    ...(norms.length > MOST_NORMS ? [] : norms.map((each) => (each === 0 ? '–' : each.toPrecision(3)))),
    norm.toPrecision(3),
    cosines.length === 0 ? '' : (Math.round(1000 * Math.min(...cosines)) / 1000 + 0).toFixed(3),
    sharedText(pairs),
    share(largest(pairs.map(({ signConflicts }) => signConflicts))),
    share(pruned?.squares ?? null),
    share(outvoted?.squares ?? null),
    error === 0 ? '' : share(error),
  ];
}

/** `7.4/6.2 %`: what two share, and what they would by chance. */
function sharedText(pairs: readonly CombinedPair[]): string {
  const most = largest(pairs.map(({ shared }) => shared));
  const pair = pairs.find(({ shared }) => shared === most);
  return most === null ? '' : `${share(most).replace(' %', '')}/${share(pair!.sharedByChance)}`;
}

function largest(shares: readonly (number | null)[]): number | null {
  const known = shares.filter((each) => each !== null);
  return known.length === 0 ? null : Math.max(...known);
}

function share(value: number | null): string {
  return value === null ? '' : formatPercent(value);
}

/** Without columns that are empty in every row; all but the first with their ends below each other. */
function inUse([heading, ...rows]: readonly (readonly string[])[]): readonly (readonly string[])[] {
  const used = heading!.map((_, at) => rows.some((row) => row[at] !== ''));
  const kept = [heading!, ...rows].map((row) => row.filter((_, at) => used[at]));
  const widths = kept[0]!.map((_, at) => Math.max(...kept.map((row) => row[at]!.length)));
  return kept.map((row) => row.map((cell, at) => (at === 0 ? cell : cell.padStart(widths[at]!))));
}
