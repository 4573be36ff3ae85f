import { formatLoss, formatPercent } from '../../common/format.js';
import type {
  ComparedGroup,
  ComparedModule,
  SharedSpace,
  SpaceComparison,
  UpdateComparison,
} from './adapterComparison.js';

/**
 * A compared module as the cells of a row: path, ranks, norms, cosine, sign conflicts, then of outputs and of inputs the
 * angles and what they share, with what chance would. Numbers only, for any language.
 */
export function moduleCells(module: ComparedModule): readonly string[] {
  return [
    module.path,
    ...module.ranks.map(String),
    ...updateCells(module),
    ...[module.outputs, module.inputs].flatMap((space) => [anglesText(space), sharedText(space)]),
  ];
}

/** The same of a group, behind its name: modules, norms, cosine, sign conflicts, shares of outputs and inputs. */
export function groupCells(group: ComparedGroup): readonly string[] {
  const { modules, outputs, inputs } = group;
  return [String(modules), ...updateCells(group), sharedText(outputs), sharedText(inputs)];
}

function updateCells({ norms, cosine, signConflicts }: UpdateComparison): readonly string[] {
  return [...norms.map(formatLoss), cosine === null ? '–' : cosineText(cosine), percent(signConflicts)];
}

/** Without the sign of what is rounded to 0. */
function cosineText(cosine: number): string {
  return (Math.round(1000 * cosine) / 1000 + 0).toFixed(3);
}

/** `12.3° to 88.0°` without words. */
function anglesText({ angles }: SpaceComparison): string {
  const [first, last] = [angles[0], angles.at(-1)];
  if (first === undefined || last === undefined) return '–';
  return angles.length === 1 ? `${first.toFixed(1)}°` : `${first.toFixed(1)}°–${last.toFixed(1)}°`;
}

function sharedText({ shared, sharedByChance }: SharedSpace): string {
  if (shared === null || sharedByChance === null) return '–';
  return `${formatPercent(shared)} (${formatPercent(sharedByChance)})`;
}

function percent(share: number | null): string {
  return share === null ? '–' : formatPercent(share);
}
