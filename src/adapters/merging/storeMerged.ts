import type { Runtime } from '../../runtime/runtime.js';
import { checkMerged, largestDifference, probeRows } from './mergeCheck.js';
import type { MergeLevels } from './mergeLevels.js';
import { sectionedModel, sectionsOf, tensorSections } from './mergeSections.js';
import type { SectionedModel } from './mergeSections.js';

/** What merged tensors are stored in, and how that is watched. */
export interface MergeStore {
  readonly runtime: Runtime;
  /** Whether what is stored are the very numbers. */
  readonly isExact: boolean;
  /**
   * Stores a tensor of the merged model. One that two modules share may come again, with the same numbers.
   * @returns its numbers as they are stored
   */
  store(name: string, values: Float32Array): Promise<Float32Array>;
  /** Bytes of float32 weights that are in memory at a time. Default: 128 MiB. */
  readonly sectionBytes?: number;
  /** Called after each tensor. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Largest differences of logits on the rows of the check. */
export interface MergeDifferences {
  /** Between an adapter applied and merged, both in float32. */
  readonly verifiedDifference: number;
  /** Between merged weights in float32 and as they are stored; NaN where either are not finite. */
  readonly storedDifference: number;
  /** Of the merged weights in float32. */
  readonly logits: Float32Array;
}

/**
 * Merges, stores and checks, section by section of the model: in memory are the weights of one section (or one tensor, where
 * it is larger), before and after an adapter. Tensors are stored in the order of the forward pass, then those that
 * no module reads.
 *
 * @throws ProblemError `merge.not-equal`, `merge.non-finite`, once everything is stored
 */
export async function storeMerged(levels: MergeLevels, to: MergeStore): Promise<MergeDifferences> {
  const last = levels.at(-1)!;
  const rows = probeRows(last.model);
  const sections = sectionsOf(last.model.sites, to.sectionBytes);
  const common = { runtime: to.runtime, rows };
  const plain = { ...common, methods: [], values: new Map<string, Float32Array>() };
  const checks = levels.map(({ from, model, stage }) => ({
    applied: sectionedModel({ ...common, ...stage, model: from.model }, sections),
    merged: sectionedModel({ ...plain, model }, sections),
  }));
  const stored = to.isExact ? undefined : sectionedModel({ ...plain, model: last.model }, sections);
  const sectionOf = tensorSections(last.model, sections);

  let done = 0;
  const store = async (name: string): Promise<Float32Array> => {
    const values = await to.store(name, await last.read(name));
    to.onProgress?.(++done, last.merged.length);
    return values;
  };
  for (let at = 0; at < sections.count; at++) {
    for (const [index, level] of levels.entries()) {
      await checks[index]!.applied.run((name) => level.from.read(name));
      await checks[index]!.merged.run((name) => level.read(name));
      level.from.forget();
    }
    const own = new Map<string, Float32Array>();
    for (const { name } of last.merged) if (sectionOf.get(name) === at) own.set(name, await store(name));
    // A matrix that an earlier section has, too, is stored already.
    await stored?.run(async (name) => own.get(name) ?? to.store(name, await last.read(name)));
    for (const level of levels) level.from.forget();
    last.forget();
  }
  for (const { name } of last.merged) if (!sectionOf.has(name)) await store(name);

  const differences = checks.map(({ applied, merged }, at) => {
    const { stage, source } = levels[at]!;
    return checkMerged(applied.logits(), merged.logits(), stage.from ?? source);
  });
  return {
    verifiedDifference: Math.max(...differences),
    storedDifference: stored === undefined ? 0 : difference(checks.at(-1)!.merged, stored),
    logits: checks.at(-1)!.merged.logits(),
  };
}

function difference(one: SectionedModel, other: SectionedModel): number {
  return largestDifference(one.logits(), other.logits());
}
