import { Type } from '@sinclair/typebox';
import type { TNumber } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { parameterShape } from '../models/site.js';
import type { Site } from '../models/site.js';
import type { AttachContext, Prepared } from './method.js';
import { parameterSize } from './parameters.js';
import { matchTargets } from './targets.js';
import type { TargetMatch, TargetOptions } from './targets.js';

/** `keep_ratio` of methods that choose single numbers of weights. */
export function keepRatio(share: number): TNumber {
  return Type.Number({
    exclusiveMinimum: 0,
    maximum: 1,
    default: share,
    description: 'Share of the numbers of the targeted weights that trains.',
  });
}

/** The weights that a selective method chooses numbers in. */
export interface SparseTargets {
  /** By their name in the checkpoint; one that two sites share is one weight, at the first of them. */
  readonly weights: ReadonlyMap<string, Site>;
  readonly match: TargetMatch<Site>;
  /** Weights that modules share which are not targeted. */
  readonly warnings: readonly Problem[];
}

/**
 * The weights of the matched sites.
 *
 * @param type the method's, for messages
 * @param capable sites that can be matched; default: all that have a weight
 * @throws ProblemError `method.combination` beside a method that trains one of these weights whole; of `matchTargets`
 */
export function sparseTargets(
  type: string,
  options: TargetOptions,
  { model, before = [], idlePatterns }: AttachContext,
  capable: (site: Site) => boolean = () => true,
): SparseTargets {
  const takes = (site: Site): boolean => site.weight !== undefined && capable(site);
  const match = matchTargets(options, model.sites, takes, idlePatterns);
  const weights = new Map<string, Site>();
  for (const site of match.sites) if (!weights.has(site.weight!)) weights.set(site.weight!, site);
  const names = [...weights.keys()];
  const other = before.find(({ trainables }) =>
    trainables.some(({ variable }) => names.some((name) => variable.name.endsWith(name))),
  );
  if (other !== undefined) {
    fail({
      code: 'method.combination',
      message: l10n.t`${type} cannot be combined with ${other.type}, which trains weights of the base model too`,
      mend: l10n.t`Take one of the two out of \`method\`.`,
    });
  }
  const targeted = new Set(match.sites);
  const sharing = model.sites.filter((site) => !targeted.has(site) && weights.has(site.weight ?? ''));
  const warnings = sharing.map((site): Problem => {
    const shared = weights.get(site.weight!)!.path;
    return {
      code: 'sparse-delta.shared',
      severity: 'warning',
      message: l10n.t`${shared} and ${site.path} are one matrix: what trains in it changes both`,
      mend: l10n.t`Nothing to do, if that is meant; else take ${shared} out of target_modules.`,
    };
  });
  return { weights, match, warnings };
}

/**
 * How many numbers train: int(keep_ratio · N) of the N numbers of these weights.
 * @throws ProblemError `sparse-delta.nothing`
 */
export function keptCount(ratio: number, { weights }: Pick<SparseTargets, 'weights'>): number {
  const total = [...weights.values()].reduce((sum, site) => sum + weightSize(site), 0);
  const count = Math.floor(ratio * total);
  if (count === 0) {
    fail({
      code: 'sparse-delta.nothing',
      message: l10n.t`keep_ratio ${ratio} of ${total} numbers is not one number`,
      expected: l10n.t`a keep_ratio of at least ${(1 / total).toExponential(1)}`,
      mend: l10n.t`Raise keep_ratio, or target more modules.`,
    });
  }
  return count;
}

/** Numbers in a site's weight. */
export function weightSize(site: Site): number {
  return parameterSize(parameterShape(site, 'weight'));
}

/**
 * The places that were chosen, as `prepare` gives them to `attach`; a weight of which none was chosen has no entry.
 *
 * @param marks for each of the weights, 1 for chosen, row-major (see {@link placesOf}), or the places, rising
 * @param notes what else is kept in the run's folder; names start with `#`
 */
export function preparedPlaces(
  { weights }: Pick<SparseTargets, 'weights'>,
  marks: readonly (Uint8Array | Int32Array)[],
  notes: Readonly<Record<`#${string}`, number>> = {},
): Prepared {
  const places = marks.map((each) => (each instanceof Int32Array ? each : placesOf(each)));
  const count = places.reduce((sum, { length }) => sum + length, 0);
  const prepared = new Map<string, Int32Array>(
    Object.entries({ '#kept': count, ...notes }).map(([name, value]) => [name, Int32Array.of(value)]),
  );
  [...weights.values()].forEach((site, at) => {
    const indices = places[at]!;
    if (indices.length > 0) prepared.set(indicesKey(site), indices);
  });
  return prepared;
}

/** Whether a name in `Prepared` is a note beside the places. A run leaves some, an adapter's file has none. */
export function isNote(name: string): boolean {
  return name.startsWith('#');
}

/** Places of marks that are 1, rising. */
export function placesOf(marks: Uint8Array): Int32Array {
  const indices = new Int32Array(marks.reduce((sum, mark) => sum + mark, 0));
  let next = 0;
  marks.forEach((mark, place) => {
    if (mark === 1) indices[next++] = place;
  });
  return indices;
}

/** Names on disk: what changes in a weight, and where. */
export function valuesKey({ path }: Site): string {
  return `${path}.weight.values`;
}

export function indicesKey({ path }: Site): string {
  return `${path}.weight.indices`;
}

/** Names in `Prepared` of differences that no longer train, and of their places. */
export function leftValuesKey({ path }: Site): string {
  return `${path}.weight.left_values`;
}

export function leftIndicesKey({ path }: Site): string {
  return `${path}.weight.left_indices`;
}
