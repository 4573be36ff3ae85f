import type { CombinedModule, CombinedUpdates } from '../adapters/combination.js';
import { combinedLayers } from '../adapters/combinedLayers.js';
import { formatPercent } from '../common/format.js';
import { table } from './table.js';

/** Norms of more adapters than this do not fit beside the rest: the JSON has them. */
const MOST_NORMS = 4;

/** Updates and their sums, layer by layer and module by module. */
export function combinedTables(modules: readonly CombinedModule[]): string {
  const { layers, total } = combinedLayers(modules);
  const byLayer = layers.map((each) => [each.name === '' ? 'beside the layers' : each.name, '', ...cells(each)]);
  const byModule = modules.map((each) => [each.path, String(each.rank ?? ''), ...cells(each)]);
  return [
    columnsInUse([['Layer', '', ...HEADING], ...byLayer, ['all', '', ...cells(total)]]),
    columnsInUse([['Module', 'rank', ...HEADING], ...byModule]),
  ].join('\n\n');
}

const HEADING = ['norms', 'sum', 'cosine', 'shared', 'signs', 'pruned', 'outvoted', 'lost'] as const;

/** Of several pairs the smallest cosine, and most of what else two have to do with each other. */
function cells({ norms, norm, error, pairs, pruned, outvoted }: CombinedUpdates): readonly string[] {
  const cosines = pairs.flatMap(({ cosine }) => cosine ?? []);
  const most = (key: 'shared' | 'signConflicts'): string => {
    const shares = pairs.flatMap((pair) => pair[key] ?? []);
    return shares.length === 0 ? '' : formatPercent(Math.max(...shares));
  };
  return [
    norms.length > MOST_NORMS ? '' : norms.map((each) => each.toPrecision(3)).join(' '),
    norm.toPrecision(3),
    cosines.length === 0 ? '' : (Math.round(1000 * Math.min(...cosines)) / 1000 + 0).toFixed(3),
    most('shared'),
    most('signConflicts'),
    pruned === undefined ? '' : formatPercent(pruned.squares),
    outvoted === undefined ? '' : formatPercent(outvoted.squares),
    error === 0 ? '' : formatPercent(error),
  ];
}

/** Without columns that are empty in every row. */
function columnsInUse([heading, ...rows]: readonly (readonly string[])[]): string {
  const used = heading!.map((_, at) => rows.some((row) => row[at] !== ''));
  return table([heading!, ...rows].map((row) => row.filter((_, at) => used[at])));
}
