import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../../common/json.js';
import { fail } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { rewrites } from '../../methods/conflicts.js';
import type { AttachContext, Attached, Values } from '../../methods/method.js';
import type { LanguageModel } from '../../models/architecture.js';
import type { Checkpoint, TensorInfo } from '../../models/checkpoint.js';
import { readModel } from '../../models/readModel.js';
import { withClasses } from '../classConfig.js';
import { mergedTensors } from './mergedTensors.js';
import type { BaseTensors, MergedTensor, Tied } from './mergedTensors.js';

/** Methods that act on a model together, with the numbers of what they trained. */
export interface MergeStage {
  readonly methods: readonly Attached[];
  readonly values: Values;
  /** Where they are from, for messages: an adapter's folder. */
  readonly from?: string;
}

/** A model in the course of a merge: the base, or what the adapters so far have made of it. */
export interface MergeLevel extends BaseTensors {
  readonly config: JsonObject;
  readonly model: LanguageModel;
  /** One tensor as float32, row-major: read or merged once and then kept, until it is to be forgotten. */
  read(name: string): Promise<Float32Array>;
  forget(): void;
}

/** A level that was made of the one before it. */
export interface MergedLevel extends MergeLevel {
  readonly from: MergeLevel;
  /** What it was made by. */
  readonly stage: MergeStage;
  /** Its tensors, in the checkpoint's order. */
  readonly merged: readonly MergedTensor[];
  /** What became of an output layer that shares its matrix with the embedding. */
  readonly tied: Tied;
  /** Names of its tensors, among those produced so far, whose numbers differ from those of the level before. */
  readonly changed: ReadonlySet<string>;
  readonly warnings: readonly Problem[];
}

/** What adapters make of a base, one after the other; each level but the first is made of the one before. */
export type MergeLevels = readonly [MergedLevel, ...MergedLevel[]];

/** Attaches a further adapter to the model that the adapters before it made. */
export type LaterStage = (model: Pick<AttachContext, 'model' | 'read'>) => Promise<MergeStage>;

/**
 * The models that stages make of a base, each of what those before it made. Their tensors are produced when they are read.
 *
 * @throws ProblemError `merge.not-mergeable`, `merge.untied-scale`, `merge.untied-before`; what attaching throws
 */
export async function mergeLevels(
  checkpoint: Checkpoint,
  model: LanguageModel,
  first: MergeStage,
  then: readonly LaterStage[] = [],
): Promise<MergeLevels> {
  const { source, format, config, tensors } = checkpoint;
  const base = { source, format, config, tensors, model, ...kept((name) => checkpoint.read(name)) };
  let last = await nextLevel(base, first);
  const levels: [MergedLevel, ...MergedLevel[]] = [last];
  for (const attach of then) {
    const { model: made, read } = last;
    const stage = await attach({ model: made, read });
    if (last.tied === 'untied') refuseShared(last, stage);
    last = await nextLevel(last, stage);
    levels.push(last);
  }
  return levels;
}

/** What became of an output layer that shared its matrix with the embedding. */
export function tieOf(levels: MergeLevels): Tied {
  return levels.some(({ tied }) => tied === 'untied') ? 'untied' : levels[0].tied;
}

/** Names of tensors, among those produced so far, whose numbers an adapter changed. */
export function changedBy(levels: MergeLevels): ReadonlySet<string> {
  return new Set(levels.flatMap(({ changed }) => [...changed]));
}

/** Nothing is produced yet, but for a shared matrix, to see whether it stays one. */
async function nextLevel(level: MergeLevel, stage: MergeStage): Promise<MergedLevel> {
  const found = await mergedTensors({ checkpoint: level, model: level.model, ...stage });
  level.forget();
  const { tied, changed, warnings } = found;
  if (tied === 'untied' && level.model.encoder !== undefined) refuseUntied(level.source);
  const { source } = level;
  const config = withTie(withVocabulary(withClasses(level.config, level.model.classes), level.model), tied);
  const byName = new Map(found.tensors.map((tensor) => [tensor.name, tensor]));
  const tensors = new Map(
    [...byName].map(([name, { shape }]): [string, TensorInfo] => [name, { dtype: 'F32', shape }]),
  );
  const model = readModel({ source, config, tensors }, { type: level.model.task });
  return {
    source,
    format: 'safetensors',
    config,
    tensors,
    model,
    from: level,
    stage,
    merged: found.tensors,
    tied,
    changed,
    warnings,
    ...kept((name) => byName.get(name)!.data()),
  };
}

function kept(read: (name: string) => Promise<Float32Array>): Pick<MergeLevel, 'read' | 'forget'> {
  const known = new Map<string, Promise<Float32Array>>();
  return {
    read(name) {
      const values = known.get(name) ?? read(name);
      known.set(name, values);
      return values;
    },
    forget: () => known.clear(),
  };
}

/** An adapter that was trained with tokens added brings their rows. */
function withVocabulary(config: JsonObject, { vocabSize }: LanguageModel): JsonObject {
  const { vocab_size: before } = config;
  return before === undefined || before === vocabSize ? config : { ...config, vocab_size: vocabSize };
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

/** What rewrites a shared matrix is of no use on two of which it knows one. */
function refuseShared({ model, source }: MergeLevel, { methods }: MergeStage): void {
  const ends = model.sites.filter(({ kind, isOutput }) => isOutput || kind === 'embedding');
  const method = methods.find(({ hooks }) => ends.some((site) => rewrites(hooks, site, 'weight')));
  if (method === undefined) return;
  fail({
    code: 'merge.untied-before',
    message: l10n.t`an adapter merged before it has given the output layer a matrix of its own, and the adapter of type '${method.type}' was trained on the one that it shared with the embedding`,
    where: { file: source },
    mend: l10n.t`Name this adapter before the one that changes the embedding or the output layer alone.`,
  });
}
