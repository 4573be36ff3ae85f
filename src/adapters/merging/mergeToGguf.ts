import * as l10n from '@vscode/l10n';
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { fail } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { makeFileWhole } from '../../common/wholeFile.js';
import { startGgufCopy } from '../../models/copyGguf.js';
import type { GgufCopy } from '../../models/copyGguf.js';
import { openGgufCheckpoint } from '../../models/ggufCheckpoint.js';
import type { GgufCheckpoint } from '../../models/ggufCheckpoint.js';
import { ggufFileType } from '../../models/ggufFileType.js';
import { readModel } from '../../models/readModel.js';
import { checkRow, ggufMergePlan, plannedBytes } from './ggufMergePlan.js';
import type { GgufMergeTypes, PlannedTensor } from './ggufMergePlan.js';
import type { MergeJob } from './merge.js';
import { nothingChanged } from './merge.js';
import { largestDifference, probeRows } from './mergeCheck.js';
import { changedBy, mergeLevels, tieOf } from './mergeLevels.js';
import type { MergeLevels } from './mergeLevels.js';
import { sectionedModel, sectionsOf } from './mergeSections.js';
import type { Tied } from './mergedTensors.js';
import { storeMerged } from './storeMerged.js';
import type { MergeDifferences } from './storeMerged.js';
import { NO_DELTA, addSums, deltaSums, survivedDelta } from './survivedDelta.js';
import type { DeltaSums, SurvivedDelta } from './survivedDelta.js';

export interface GgufMergeJob extends Pick<
  MergeJob,
  'model' | 'methods' | 'values' | 'then' | 'runtime' | 'onProgress'
> {
  /** A GGUF file. */
  readonly base: string;
  /** The file to write; it must not exist. */
  readonly out: string;
  readonly types: GgufMergeTypes;
}

/** A tensor whose numbers the adapters changed. */
export interface WrittenTensor extends SurvivedDelta {
  /** Its Hugging Face name. */
  readonly name: string;
  /** The types that it was read from and written in. */
  readonly from: string;
  readonly type: string;
}

export interface GgufMergeReport {
  /** The file written, absolute. */
  readonly out: string;
  /** Largest difference of logits, in float32, between an adapter applied and the merged weights. */
  readonly verifiedDifference: number;
  /** Largest difference of logits between the merged weights in float32 and the file, opened again. */
  readonly roundingDifference: number;
  readonly tied: Tied;
  readonly tensorsChanged: number;
  /** Of the file. */
  readonly bytes: number;
  /** Of all updates together, and of each. */
  readonly total: SurvivedDelta;
  readonly tensors: readonly WrittenTensor[];
  readonly warnings: readonly Problem[];
}

interface Filling {
  readonly job: GgufMergeJob;
  readonly checkpoint: GgufCheckpoint;
  readonly levels: MergeLevels;
  /** By Hugging Face names. */
  readonly plan: ReadonlyMap<string, PlannedTensor>;
}

/** An update of which less survives is said to be lost. */
const LEAST_SURVIVED = 0.5;
const [FILE_TYPE, QUANTIZATION_VERSION] = ['general.file_type', 'general.quantization_version'] as const;
/** Of the layouts of quantized types, since May 2023. */
const LAYOUTS = 2;
/** Numbers quantized and written at once. */
const PART = 1 << 20;

/**
 * Merges adapters into a GGUF file and writes the result as one: metadata and tokenizer as they lie there, tensors that no
 * adapter changes byte for byte. Others are dequantized, merged in float32, checked as {@link storeMerged} does, and written
 * in another type or quantized again; how much of each update survives that is measured, and what the file gives, opened again.
 *
 * @throws ProblemError `merge.gguf-place`, `merge.gguf-tied`, `merge.gguf-row`, `merge.gguf-rows`, `merge.gguf-type`, `merge.overflow`, `file.exists`;
 *   as `mergeAdapter` does
 */
export async function mergeToGguf(job: GgufMergeJob): Promise<GgufMergeReport> {
  const out = path.resolve(job.out);
  const checkpoint = await openGgufCheckpoint(job.base);
  const levels = await mergeLevels(checkpoint, job.model, job, job.then);
  const plan = ggufMergePlan(checkpoint, levels.at(-1)!.merged, job.types);
  const bytes = [...plan.values()].reduce((sum, tensor) => sum + plannedBytes(tensor), 0);
  return makeFileWhole(out, bytes, async (temporary) => {
    const handle = await open(temporary, 'wx');
    const { differences, changed } = await fill(handle, { job, checkpoint, levels, plan }).finally(() =>
      handle.close(),
    );
    const tensors = [...changed].map(([name, sums]): WrittenTensor => {
      const { baseType, type } = plan.get(name)!;
      return { name, from: baseType.name, type: type.name, ...survivedDelta(sums) };
    });
    return {
      out,
      verifiedDifference: differences.verifiedDifference,
      roundingDifference: await readAgain(temporary, differences.logits, job),
      tied: tieOf(levels),
      tensorsChanged: changed.size,
      bytes: (await stat(temporary)).size,
      total: survivedDelta([...changed.values()].reduce(addSums, NO_DELTA)),
      tensors,
      warnings: [
        ...levels.flatMap(({ warnings }) => warnings),
        ...(changed.size === 0 ? [nothingChanged(checkpoint.source)] : []),
        ...roundedAway(tensors, checkpoint.source),
      ],
    };
  });
}

/** Writes the file. @returns of the tensors that are changed what of their updates survives */
async function fill(
  handle: FileHandle,
  { job, checkpoint, levels, plan }: Filling,
): Promise<{ readonly differences: MergeDifferences; readonly changed: ReadonlyMap<string, DeltaSums> }> {
  const { header, source } = checkpoint;
  const ours = new Set([...plan.values()].map(({ name }) => name));
  // Not of the model, such as divisors of rotary frequencies.
  const beside = [...header.tensors]
    .filter(([name]) => !ours.has(name))
    .map(([name, { shape }]) => ({ name, shape }));
  const copy = startGgufCopy(header, handle, [...plan.values(), ...beside], [FILE_TYPE, QUANTIZATION_VERSION]);
  for (const { name } of beside) await copy.keep(name, name);
  const changed = new Map<string, DeltaSums>();
  const differences = await storeMerged(levels, {
    runtime: job.runtime,
    // What the file gives is measured on the file.
    isExact: true,
    async store(name, values) {
      const planned = plan.get(name)!;
      if (changedBy(levels).has(name)) {
        checkRow(name, planned, source);
        const base = checkpoint.stored(planned.base, await checkpoint.read(planned.base));
        const merged = checkpoint.stored(name, values);
        changed.set(name, await putTensor(copy, planned, { name, base, merged, source }));
      } else {
        await copy.keep(planned.name, planned.from);
      }
      return values;
    },
    onProgress: (done, total) => job.onProgress?.({ activity: l10n.t`Merging and comparing logits`, done, total }),
  });
  const types = [...plan].map(([name, { shape, baseType, type }]) => ({
    shape,
    type: changed.has(name) ? type : baseType,
  }));
  const before = { tensors: header.tensors.values(), fileType: header.metadata.get(FILE_TYPE) };
  await copy.finish({ [FILE_TYPE]: ggufFileType(types, before), [QUANTIZATION_VERSION]: LAYOUTS });
  await handle.sync();
  return { differences, changed };
}

/** Writes a changed tensor part by part. @returns what of its update survives */
async function putTensor(
  copy: GgufCopy,
  { name: stored, shape, type }: PlannedTensor,
  { name, base, merged, source }: { name: string; base: Float32Array; merged: Float32Array; source: string },
): Promise<DeltaSums> {
  let sums = NO_DELTA;
  const row = shape.at(-1)!;
  const part = row * Math.ceil(PART / row);
  const parts = function* (): Generator<Uint8Array> {
    for (let at = 0; at < merged.length; at += part) {
      const values = merged.subarray(at, at + part);
      const bytes = type.quantize(values);
      const written = type.dequantize(bytes);
      checkRange(name, values, written, type.name, source);
      sums = addSums(sums, deltaSums(base.subarray(at, at + part), values, written));
      yield bytes;
    }
  };
  await copy.put(stored, type, parts());
  return sums;
}

/** Largest difference of logits between what was merged and what our reader makes of the file. */
async function readAgain(
  file: string,
  logits: Float32Array,
  { runtime, onProgress, base }: GgufMergeJob,
): Promise<number> {
  const written = await openGgufCheckpoint(file);
  const model = readModel(written);
  const sections = sectionsOf(model.sites);
  const again = sectionedModel(
    { model, methods: [], values: new Map(), runtime, rows: probeRows(model) },
    sections,
  );
  for (let at = 0; at < sections.count; at++) {
    onProgress?.({ activity: l10n.t`Reading the file again`, done: at, total: sections.count });
    await again.run((name) => written.read(name));
  }
  const difference = largestDifference(logits, again.logits());
  if (!Number.isNaN(difference)) return difference;
  return fail({
    code: 'merge.overflow',
    message: l10n.t`as they are written, the merged weights give logits that are not finite; nothing was written`,
    where: { file: base },
    mend: l10n.t`Merge as F32.`,
  });
}

/** @throws ProblemError `merge.overflow` */
function checkRange(name: string, values: Float32Array, written: Float32Array, type: string, file: string): void {
  let at = 0;
  while (at < written.length && Number.isFinite(written[at])) at++;
  if (at === written.length) return;
  fail({
    code: 'merge.overflow',
    message: l10n.t`${name} holds ${String(values[at])}, which ${type} cannot`,
    where: { file },
    mend: l10n.t`Merge as BF16 or F32.`,
  });
}

function roundedAway(tensors: readonly WrittenTensor[], file: string): Problem[] {
  const lost = tensors.filter(({ survived }) => survived < LEAST_SURVIVED);
  if (lost.length === 0) return [];
  const shown = lost.slice(0, 5).map(({ name, type, survived }) => `${name} (${type}, ${survived.toFixed(2)})`);
  return [
    {
      code: 'merge.rounded-away',
      severity: 'warning',
      message: l10n.t`less than half of the update survives the rounding in ${lost.length} of ${tensors.length} tensors: ${shown.join(', ')}${lost.length > shown.length ? ' …' : ''}`,
      where: { file },
      mend: l10n.t`Write the changed tensors as floats (without re-quantizing), in a type of more bits, or keep the adapter beside its base.`,
    },
  ];
}
