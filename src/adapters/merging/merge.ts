import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { fail } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { writeFolderWhole } from '../../common/wholeFolder.js';
import type { Attached, Values } from '../../methods/method.js';
import type { LanguageModel } from '../../models/architecture.js';
import type { Checkpoint } from '../../models/checkpoint.js';
import type { FloatType } from '../../models/floatBytes.js';
import { F16_OVERFLOW, bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../models/floatFormats.js';
import { readGenerationConfig } from '../../models/generationConfig.js';
import type { Tokenizer } from '../../models/tokenizer.js';
import type { Runtime } from '../../runtime/runtime.js';
import { baseFiles, hashesOf } from './baseFiles.js';
import { keepOriginal, mostKeptBytes } from './keptOriginal.js';
import { changedBy, mergeLevels, tieOf } from './mergeLevels.js';
import type { LaterStage, MergeStage } from './mergeLevels.js';
import { writeMergeRecord } from './mergeRecord.js';
import type { Tied } from './mergedTensors.js';
import { storeMerged } from './storeMerged.js';
import type { MergeStore } from './storeMerged.js';
import { modelBytes, startModel } from '../writeModel.js';

export interface MergeJob {
  readonly checkpoint: Checkpoint;
  readonly model: LanguageModel;
  /** What is merged first: methods that act together, in order. */
  readonly methods: readonly Attached[];
  readonly values: Values;
  readonly from?: MergeStage['from'];
  /** What is merged then, one after the other into what those before it made. */
  readonly then?: readonly LaterStage[];
  readonly tokenizer: Tokenizer;
  readonly runtime: Runtime;
  /** The folder to write; it must not exist. */
  readonly out: string;
  /**
   * Default: what most of the base is in; BF16 for a quantized base. (Its own errors are far larger than BF16's
   * rounding, and activations of models that were trained in BF16 can overflow in F16.)
   */
  readonly dtype?: FloatType;
  readonly maxShardBytes?: number;
  readonly sectionBytes?: MergeStore['sectionBytes'];
  /** What is merged into what, to be written beside the weights. */
  readonly record?: { readonly adapters: readonly string[]; readonly base: string };
  /** Keeps what the merge changes of the base beside the merged weights, so that unmerging needs no base. */
  readonly keepOriginal?: boolean;
  /** What is being done and how many of its parts are. An error that it throws ends the merge, leaving nothing. */
  readonly onProgress?: (progress: MergeProgress) => void;
}

export interface MergeProgress {
  readonly activity: string;
  readonly done: number;
  readonly total: number;
}

export interface MergeReport {
  /** The folder written, absolute. */
  readonly out: string;
  /** Largest difference of logits, in float32, between an adapter applied and the merged weights. */
  readonly verifiedDifference: number;
  /** Largest difference of logits that rounding the merged weights to `dtype` makes. */
  readonly roundingDifference: number;
  readonly tied: Tied;
  readonly tensorsChanged: number;
  readonly dtype: FloatType;
  /** Of the weights written. */
  readonly bytes: number;
  readonly warnings: readonly Problem[];
}

/**
 * Merges adapters into their base and writes the result as a model folder. The arithmetic is float32, section by section
 * of the model: as each is merged, it is run on fixed token rows with the adapter applied and with the merged weights,
 * and as they are rounded to `dtype`, whose effect is measured apart. Nothing is final before all sections agree.
 *
 * @throws ProblemError `merge.not-mergeable`, `merge.untied-scale`, `merge.untied-before`, `merge.non-finite`, `merge.not-equal`,
 *   `merge.overflow`, `merge.keep-gguf`, `folder.*`
 */
export async function mergeAdapter(job: MergeJob): Promise<MergeReport> {
  const { checkpoint, runtime, onProgress } = job;
  const out = path.resolve(job.out);
  const dtype = job.dtype ?? mainDtype(checkpoint);
  const levels = await mergeLevels(checkpoint, job.model, job, job.then);
  const last = levels.at(-1)!;
  const tensors = last.merged.map(({ name, shape }) => ({ name, shape, dtype }));
  const bytes = modelBytes(tensors);
  const outline = {
    config: last.config,
    generationConfig: await readGenerationConfig(checkpoint.source),
    tokenizerFiles: await job.tokenizer.files(),
    maxShardBytes: job.maxShardBytes,
    tensors,
  };
  const keptBytes = job.keepOriginal === true ? await mostKeptBytes(checkpoint) : 0;
  return writeFolderWhole(out, bytes + keptBytes, async (content) => {
    const writer = await startModel(content, outline);
    const found = await storeMerged(levels, {
      runtime,
      isExact: dtype === 'F32',
      sectionBytes: job.sectionBytes,
      async store(name, values) {
        await writer.write(name, withinRange(values, dtype, name, checkpoint.source));
        return rounded(values, dtype);
      },
      onProgress: (done, total) => onProgress?.({ activity: l10n.t`Merging and comparing logits`, done, total }),
    }).finally(() => writer.close());
    const roundingDifference = measuredRounding(found.storedDifference, job, dtype);
    const changed = changedBy(levels);
    if (job.keepOriginal === true) {
      onProgress?.({ activity: l10n.t`Keeping the original weights`, done: 0, total: 1 });
      await keepOriginal(content, checkpoint);
    }
    if (job.record !== undefined) {
      const files = await baseFiles(checkpoint);
      let hashed = 0;
      const base_files = await hashesOf(files, () =>
        onProgress?.({ activity: l10n.t`Noting the base's hashes`, done: hashed++, total: files.length }),
      );
      await writeMergeRecord(content, {
        merged_adapters: job.record.adapters,
        base_model_name_or_path: job.record.base,
        dtype,
        verified_difference: found.verifiedDifference,
        base_files,
      });
    }
    return {
      out,
      verifiedDifference: found.verifiedDifference,
      roundingDifference,
      tied: tieOf(levels),
      tensorsChanged: changed.size,
      dtype,
      bytes,
      warnings: [
        ...levels.flatMap(({ warnings }) => warnings),
        ...(changed.size === 0 ? [nothingChanged(checkpoint.source)] : []),
      ],
    };
  });
}

/** The type of most of the base's values. */
function mainDtype({ tensors }: Checkpoint): FloatType {
  const counts = new Map<FloatType, number>();
  for (const { dtype, shape } of tensors.values()) {
    const kept = dtype === 'F64' ? 'F32' : dtype === 'F32' || dtype === 'F16' ? dtype : 'BF16';
    counts.set(kept, shape.reduce((product, size) => product * size, 1) + (counts.get(kept) ?? 0));
  }
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 'F32';
}

function rounded(values: Float32Array, dtype: FloatType): Float32Array {
  switch (dtype) {
    case 'F32':
      return values;
    case 'F16':
      return f16ToF32(f32ToF16(values));
    case 'BF16':
      return bf16ToF32(f32ToBf16(values));
  }
}

function withinRange(values: Float32Array, dtype: FloatType, name: string, file: string): Float32Array {
  const at = dtype === 'F16' ? values.findIndex((value) => Math.abs(value) >= F16_OVERFLOW) : -1;
  if (at < 0) return values;
  return fail({
    code: 'merge.overflow',
    message: l10n.t`${name} holds ${String(values[at])}, which F16 cannot`,
    where: { file },
    expected: l10n.t`magnitudes below ${F16_OVERFLOW}`,
    mend: l10n.t`Merge as BF16 or F32.`,
  });
}

function measuredRounding(difference: number, { checkpoint }: MergeJob, dtype: FloatType): number {
  if (!Number.isNaN(difference)) return difference;
  return fail({
    code: 'merge.overflow',
    message: l10n.t`rounded to ${dtype}, the merged weights give logits that are not finite; nothing was written`,
    where: { file: checkpoint.source },
    mend: l10n.t`Merge as F32.`,
  });
}

/** The warning that a merge did nothing. */
export function nothingChanged(file: string): Problem {
  return {
    code: 'merge.nothing-changed',
    severity: 'warning',
    message: l10n.t`merging changed no weight: the merged model is the base model`,
    where: { file },
    mend: l10n.t`The adapter was never trained (its B is zero): inspect it, and look at the run that made it.`,
  };
}
