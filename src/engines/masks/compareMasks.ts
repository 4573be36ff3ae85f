import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import { MOST_COMPARED } from '../runFiles.js';
import type { MarkedShare, MaskPair, MaskReport, NamedOverlap } from './maskReport.js';
import type { MaskTensor } from './maskTensor.js';
import type { OpenedMask } from './openMask.js';
import { addedUp, overlapOf } from './overlap.js';
import type { Overlap } from './overlap.js';
import { NO_PLACES, placesCount, sharedCount } from './places.js';

/** A tensor as the masks have it: `undefined` where a mask does not know it. */
interface Row {
  readonly tensor: MaskTensor;
  readonly of: readonly (MaskTensor | undefined)[];
}

/** What was counted in one tensor. */
interface Counted {
  readonly tensor: MaskTensor;
  readonly marked: readonly number[];
  /** By pair, in the order of {@link pairsOf}. */
  readonly overlaps: readonly Overlap[];
}

/**
 * Counts masks and their overlap, tensor by tensor: what is in memory at a time is one tensor of each.
 * @param onTensor called after each; may throw to end it
 * @throws ProblemError `masks.count`, `masks.other-base`, `masks.shapes`, and those of reading places
 */
export async function compareMasks(
  opened: readonly OpenedMask[],
  onTensor: (done: number, total: number) => void = () => undefined,
): Promise<MaskReport> {
  if (opened.length < 1 || opened.length > MOST_COMPARED) {
    fail({
      code: 'masks.count',
      message: l10n.t`${opened.length} masks were named`,
      expected: l10n.t`1 to ${MOST_COMPARED} folders of adapters or runs`,
    });
  }
  const rows = rowsOf(opened);
  const pairs = pairsOf(opened.length);
  const counted: Counted[] = [];
  for (const { tensor, of } of rows) {
    const places = await Promise.all(of.map((each) => each?.places() ?? NO_PLACES));
    const marked = places.map((each) => placesCount(each, tensor.size));
    counted.push({
      tensor,
      marked,
      overlaps: pairs.map(([one, other]) => {
        const [a, b] = [marked[one]!, marked[other]!];
        const shared = a === 0 || b === 0 ? 0 : sharedCount(places[one]!, places[other]!, tensor.size);
        return overlapOf(a, b, shared, tensor.size);
      }),
    });
    onTensor(counted.length, rows.length);
  }
  const layers = grouped(counted, ({ layer = '' }) => layer);
  const kinds = grouped(counted, ({ kind }) => kind);
  return {
    masks: opened.map(({ folder, method, base }, at) => ({
      folder,
      method,
      base,
      ...countsOf(counted, at),
      layers: layers.map(([name, group]) => sharesOf(name, group, at)),
      kinds: kinds.map(([name, group]) => sharesOf(name, group, at)),
    })),
    pairs: pairs.map(([one, other], at): MaskPair => {
      const overlaps = ([name, group]: Group): NamedOverlap => ({
        name,
        ...addedUp(group.map((each) => each.overlaps[at]!)),
      });
      return {
        one,
        other,
        total: addedUp(counted.map((each) => each.overlaps[at]!)),
        layers: layers.map(overlaps),
        kinds: kinds.map(overlaps),
      };
    }),
  };
}

/** Each with each, the first of a pair first in the list. */
function pairsOf(count: number): readonly (readonly [one: number, other: number])[] {
  return Array.from({ length: count }, (_, one) =>
    Array.from({ length: count - one - 1 }, (__, at): [number, number] => [one, one + 1 + at]),
  ).flat();
}

/** All tensors that a mask knows, in the order of the first that knows them. */
function rowsOf(opened: readonly OpenedMask[]): readonly Row[] {
  const known = opened.map(({ tensors }) => new Map(tensors.map((tensor) => [tensor.name, tensor])));
  const names = new Set(known.flatMap((tensors) => [...tensors.keys()]));
  const rows = [...names].map((name): Row => {
    const of = known.map((tensors) => tensors.get(name));
    const at = of.findIndex((each) => each !== undefined);
    const other = of.findIndex((each) => each !== undefined && each.size !== of[at]!.size);
    if (other >= 0) otherShape(name, [at, other], of, opened);
    return { tensor: of[at]!, of };
  });
  const [first] = opened;
  const apart = opened.find(
    (_, at) => at > 0 && !rows.some(({ of }) => of[0] !== undefined && of[at] !== undefined),
  );
  if (first !== undefined && apart !== undefined) nothingShared(first, apart);
  return rows;
}

type Group = readonly [name: string, group: readonly Counted[]];

/** In the order of the model; what has no name last. */
function grouped(counted: readonly Counted[], nameOf: (tensor: MaskTensor) => string): readonly Group[] {
  const groups = new Map<string, Counted[]>();
  for (const each of counted) {
    const name = nameOf(each.tensor);
    const group = groups.get(name) ?? [];
    groups.set(name, group);
    group.push(each);
  }
  return [...groups].sort(([one], [other]) => Number(one === '') - Number(other === ''));
}

function sharesOf(name: string, group: readonly Counted[], at: number): MarkedShare {
  return { name, ...countsOf(group, at) };
}

function countsOf(group: readonly Counted[], at: number): Pick<MarkedShare, 'marked' | 'size'> {
  return {
    marked: group.reduce((sum, { marked }) => sum + marked[at]!, 0),
    size: group.reduce((sum, { tensor }) => sum + tensor.size, 0),
  };
}

function otherShape(
  name: string,
  [at, other]: readonly [number, number],
  of: readonly (MaskTensor | undefined)[],
  opened: readonly OpenedMask[],
): never {
  const { folder, base = '' } = opened[other]!;
  return fail({
    code: 'masks.shapes',
    message: l10n.t`${name} has ${of[other]!.size} numbers in ${folder} and ${of[at]!.size} in ${opened[at]!.folder}`,
    where: { file: folder },
    expected: l10n.t`masks of one base model`,
    mend: l10n.t`Name adapters of the same base model; this one was trained on ${base}.`,
  });
}

function nothingShared(one: OpenedMask, other: OpenedMask): never {
  return fail({
    code: 'masks.other-base',
    message: l10n.t`${one.folder} and ${other.folder} have no tensor in common`,
    where: { file: other.folder },
    expected: l10n.t`masks of one base model; of runs that guide another method, of the same one`,
    mend: l10n.t`Name adapters of the same base model.`,
  });
}
