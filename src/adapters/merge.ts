import * as l10n from '@vscode/l10n';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Attached, Values } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Checkpoint } from '../models/checkpoint.js';
import type { FloatType } from '../models/floatBytes.js';
import { F16_OVERFLOW } from '../models/floatFormats.js';
import { readGenerationConfig } from '../models/generationConfig.js';
import { openCheckpoint } from '../models/openCheckpoint.js';
import { readModel } from '../models/readModel.js';
import type { Tokenizer } from '../models/tokenizer.js';
import type { Runtime } from '../runtime/runtime.js';
import { allLogits } from './logits.js';
import { checkMerged, largestDifference, probeRows } from './mergeCheck.js';
import { withClasses } from './classConfig.js';
import { writeMergeRecord } from './mergeRecord.js';
import type { Tied } from './mergedTensors.js';
import { mergedTensors } from './mergedTensors.js';
import { writeFolderWhole } from '../common/wholeFolder.js';
import type { ModelContents } from './writeModel.js';
import { modelBytes, writeModelFiles } from './writeModel.js';

export interface MergeJob {
  readonly checkpoint: Checkpoint;
  readonly model: LanguageModel;
  /** What is merged, in order. */
  readonly methods: readonly Attached[];
  readonly values: Values;
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
  /** What is merged into what, to be written beside the weights. */
  readonly record?: { readonly adapters: readonly string[]; readonly base: string };
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
  /** Largest difference of logits, in float32, between the adapter applied and the merged weights. */
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
 * Merges an adapter into its base and writes the result as a model folder. The arithmetic is float32, one tensor
 * in memory at a time; the merged float32 weights are run against base + adapter on fixed token rows before
 * anything becomes final, and only then rounded to `dtype`, whose effect is measured apart.
 *
 * @throws ProblemError `merge.not-mergeable`, `merge.untied-scale`, `merge.non-finite`, `merge.not-equal`, `merge.overflow`, `folder.*`
 */
export async function mergeAdapter(job: MergeJob): Promise<MergeReport> {
  const { checkpoint, runtime } = job;
  const out = path.resolve(job.out);
  const dtype = job.dtype ?? mainDtype(checkpoint);
  const merged = await mergedTensors(job);
  if (merged.tied === 'untied' && job.model.encoder !== undefined) refuseUntied(checkpoint.source);
  const exactTensors = merged.tensors.map((tensor) => ({ ...tensor, dtype: 'F32' as const }));
  const exactBytes = modelBytes(exactTensors);
  const bytes = modelBytes(merged.tensors.map((tensor) => ({ ...tensor, dtype })));
  const described = {
    config: withTie(withClasses(checkpoint.config, job.model.classes), merged.tied),
    generationConfig: await readGenerationConfig(checkpoint.source),
    tokenizerFiles: await job.tokenizer.files(),
    maxShardBytes: job.maxShardBytes,
  };
  const write = (folder: string, tensors: ModelContents['tensors'], activity: string): Promise<void> =>
    writeModelFiles(folder, { ...described, tensors, onProgress: progress(job, activity) });
  const rows = probeRows(job.model);
  const logitsIn = async (folder: string): Promise<Float32Array> => {
    const written = await openCheckpoint(folder);
    const weights = await written.mapped();
    const model = readModel(written, { type: job.model.task });
    return allLogits({ model, methods: [], values: new Map(), weights, runtime, rows });
  };

  return writeFolderWhole(out, dtype === 'F32' ? bytes : exactBytes + bytes, async (content, scratch) => {
    const exactFolder = dtype === 'F32' ? content : path.join(scratch, 'exact');
    await mkdir(exactFolder, { recursive: true });
    await write(exactFolder, exactTensors, l10n.t`Merging in float32`);

    const weights = await checkpoint.mapped(progress(job, l10n.t`Converting the base to float32`));
    progress(job, l10n.t`Comparing logits`)(0, 2);
    const applied = await allLogits({ ...job, weights, rows });
    progress(job, l10n.t`Comparing logits`)(1, 2);
    const exact = await logitsIn(exactFolder);
    const verifiedDifference = checkMerged(applied, exact, checkpoint.source);
    progress(job, l10n.t`Comparing logits`)(2, 2);

    let roundingDifference = 0;
    if (dtype !== 'F32') {
      const source = await openCheckpoint(exactFolder);
      const rounded = merged.tensors.map(({ name, shape }) => ({
        name,
        shape,
        dtype,
        data: async () => withinRange(await source.read(name), dtype, name, checkpoint.source),
      }));
      await write(content, rounded, l10n.t`Writing as ${dtype}`);
      await rm(exactFolder, { recursive: true });
      const roundedFolder = path.join(scratch, 'rounded');
      await mkdir(roundedFolder);
      const written = await openCheckpoint(content);
      const widened = exactTensors.map((tensor) => ({ ...tensor, data: () => written.read(tensor.name) }));
      await write(roundedFolder, widened, l10n.t`Measuring the rounding`);
      roundingDifference = measuredRounding(largestDifference(exact, await logitsIn(roundedFolder)), job, dtype);
    }
    if (job.record !== undefined) {
      await writeMergeRecord(content, {
        merged_adapters: job.record.adapters,
        base_model_name_or_path: job.record.base,
        dtype,
        verified_difference: verifiedDifference,
      });
    }
    return {
      out,
      verifiedDifference,
      roundingDifference,
      tied: merged.tied,
      tensorsChanged: merged.changed.size,
      dtype,
      bytes,
      warnings: [...merged.warnings, ...(merged.changed.size === 0 ? [nothingChanged(checkpoint.source)] : [])],
    };
  });
}

function progress({ onProgress }: MergeJob, activity: string): (done: number, total: number) => void {
  return (done, total) => onProgress?.({ activity, done, total });
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

/** A tied model says so: Transformers would start a missing output layer at random otherwise. */
function withTie(config: JsonObject, tied: Tied): JsonObject {
  return tied === 'not tied' ? config : { ...config, tie_word_embeddings: tied === 'kept' };
}

/** Whether T5 scales what its head reads is told by the tie alone, before Transformers 5. */
function refuseUntied(file: string): never {
  return fail({
    code: 'merge.untied-scale',
    message: l10n.t`merged, the output layer and the embedding would no longer be one matrix, and what reads them would scale the logits of an encoder-decoder otherwise`,
    where: { file },
    expected: l10n.t`an adapter that leaves the shared matrix alone, or a model whose output layer is its own`,
    mend: l10n.t`Keep it as an adapter beside the base model.`,
  });
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

function nothingChanged(file: string): Problem {
  return {
    code: 'merge.nothing-changed',
    severity: 'warning',
    message: l10n.t`merging changed no weight: the merged model is the base model`,
    where: { file },
    mend: l10n.t`The adapter was never trained (its B is zero): inspect it, and look at the run that made it.`,
  };
}
