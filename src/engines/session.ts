import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { random } from '../common/random.js';
import type { LoadedRun } from '../config/loadRunFile.js';
import type { MethodConfig, TrainingOptions } from '../config/schema.js';
import type { KnownClasses } from '../data/classes.js';
import type { Example } from '../data/example.js';
import type { Masking } from '../data/masking.js';
import { scheduleProblem } from '../methods/adaloraBudget.js';
import { colaProblem } from '../methods/cola.js';
import { phaseProblem } from '../methods/ltSftPhases.js';
import type { AttachContext, Attached, GradientPasses, Prepared, WeightWork } from '../methods/method.js';
import { METHODS, checkPrepared, attachMethod, prepareMethod } from '../methods/registry.js';
import { pruningProblem } from '../methods/doraRankSchedule.js';
import { reloraProblem } from '../methods/relora.js';
import { taskHead } from '../methods/taskHead.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Checkpoint } from '../models/checkpoint.js';
import type { HubOptions } from '../models/hub/context.js';
import { modelIdText } from '../models/hub/ids.js';
import { locateModel } from '../models/hub/resolveModel.js';
import { loadTokenizer } from '../models/loadTokenizer.js';
import { openCheckpoint } from '../models/openCheckpoint.js';
import { readModel } from '../models/readModel.js';
import { parameterShape } from '../models/site.js';
import type { WantedTask } from '../models/task.js';
import type { Tokenizer } from '../models/tokenizer.js';
import { positionsInFront } from '../models/keysInFront.js';
import { fixedSize } from '../tensor/dims.js';
import { inMethod, placedProblem } from './methodPlaces.js';
import type { PlaceOf } from './methodPlaces.js';
import { onePlaceEach, standInFor } from './standIns.js';

/** A base model opened for work: header and tokenizer read, no weight touched. */
export interface OpenedModel {
  readonly checkpoint: Checkpoint;
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly context: AttachContext;
  /** The id that stands for just this model for good, with its commit; absent where a path was named. */
  readonly pinned?: string;
}

/**
 * Opens a model, after what is missing of it was downloaded.
 * @param source a model folder, a GGUF file, or the id of a model in the Hugging Face hub
 * @param hub how the hub is got at, and where relative paths start
 * @param task what it is to do; default: the usual task of its type
 * @throws ProblemError of the hub (see {@link locateModel}), the checkpoint or the tokenizer
 */
export async function openModel(
  source: string,
  seed: number,
  hub: HubOptions = {},
  task: WantedTask = {},
): Promise<OpenedModel> {
  const { place, id } = await locateModel(source, hub);
  const checkpoint = await openCheckpoint(place);
  const model = readModel(checkpoint, task);
  const tokenizer = await loadTokenizer(place);
  const context: AttachContext = {
    model,
    modelName: id === undefined ? place : modelIdText({ ...id, revision: undefined }),
    modelRevision: id?.revision,
    read: (name) => checkpoint.read(name),
    random: (...stream) => random(seed, ...stream),
    tokenizer,
  };
  return { checkpoint, model, tokenizer, context, pinned: id && modelIdText(id) };
}

/** The classes of a model as rows are read for it. */
export function knownClasses({ classes }: LanguageModel, isFixed = false): KnownClasses | undefined {
  if (classes === undefined) return undefined;
  const isTrained = isFixed || !classes.fresh.has(classes.sites.at(-1)!.weight!);
  return { labels: classes.labels, isTrained, isFixed };
}

/** The model with a head for the classes of a data set. */
export function withLabels(opened: OpenedModel, labels: readonly string[]): OpenedModel {
  if (opened.model.classes === undefined || labels.length === 0) return opened;
  const model = readModel(opened.checkpoint, { type: opened.model.task, labels });
  return { ...opened, model, context: { ...opened.context, model } };
}

/**
 * Attaches a run file's methods in order, each with random numbers and variables of its own.
 * @param prepared what the methods' `prepare` found, in their order
 */
export function attachMethods(
  configs: readonly MethodConfig[],
  context: AttachContext,
  prepared: readonly (Prepared | undefined)[] = [],
): Attached[] {
  const methods: Attached[] = [];
  for (const [index, config] of configs.entries()) {
    const own = { ...contextOf(context, index, methods), ...given(prepared[index]) };
    methods.push(attachMethod(config, own));
  }
  return methods;
}

/**
 * What the methods of a new run have to find out before they attach, in their order; each sees those before it attached.
 * @param passes makes passes over the training data with these methods attached
 * @param weightWork products of weights on a runtime; default: plain ones
 */
export async function prepareMethods(
  configs: readonly MethodConfig[],
  context: AttachContext,
  passes: (before: readonly Attached[]) => GradientPasses,
  weightWork?: WeightWork,
): Promise<(Prepared | undefined)[]> {
  const prepared: (Prepared | undefined)[] = [];
  const methods: Attached[] = [];
  for (const [index, config] of configs.entries()) {
    const own = contextOf(context, index, methods);
    // The head of the task may start anew: before a method trains it along, it stands alone.
    const head = methods.length === 0 ? taskHead(own) : undefined;
    const found = await prepareMethod(config, {
      ...own,
      ...passes(head === undefined ? methods : [head]),
      ...(weightWork === undefined ? {} : { weightWork }),
    });
    prepared.push(found);
    methods.push(attachMethod(config, { ...own, ...given(found) }));
  }
  return prepared;
}

/**
 * What attaching the methods would refuse, before any of them prepares. Methods behind one that chooses numbers see one
 * of its kind that chose in all its weights; behind others that prepare they see only those before it.
 * @param placeOf names the option in what they refuse
 */
export function checkMethods(configs: readonly MethodConfig[], context: AttachContext, placeOf?: PlaceOf): void {
  const methods: Attached[] = [];
  for (const [index, config] of configs.entries()) {
    // What it guides is not there yet.
    if (guides(config) && methods.length < index) continue;
    const own = contextOf(context, index, methods);
    const found = inMethod(index, config, placeOf, () =>
      checkPrepared(config, own)
        ? standInFor(config, own.model, methods, onePlaceEach)
        : attachMethod(config, own),
    );
    if (found !== undefined) methods.push(found);
  }
}

/** Whether a method trains nothing of its own, but guides those before it. */
export function guides({ type }: MethodConfig): boolean {
  return METHODS.some((method) => method.type === type && 'guides' in method);
}

/**
 * AdaLoRA's budget has to fall within the run, and phases of LT-SFT, ReLoRA and COLA have to find room.
 * @throws ProblemError `adalora.schedule`, `lt-sft.schedule`, `relora.schedule`, `relora.warmup`, `cola.schedule`
 */
export function checkSchedules(
  configs: readonly MethodConfig[],
  totalSteps: number,
  { file, placeOf = () => ({ file }) }: Pick<LoadedRun, 'file' | 'placeOf'>,
): void {
  for (const [index, config] of configs.entries()) {
    const problem = scheduleOf(config, totalSteps);
    if (problem !== undefined) fail(placedProblem(problem, index, config, placeOf));
  }
}

/**
 * What of a method has no room in a run of so many steps.
 * @param atMost the run may have fewer steps
 */
export function scheduleOf(config: MethodConfig, totalSteps: number, atMost = false): Problem | undefined {
  switch (config.type) {
    case 'adalora':
      return scheduleProblem(totalSteps, config, atMost);
    case 'lt_sft':
      return phaseProblem(totalSteps, config, atMost);
    case 'dora_rank':
      return pruningProblem(totalSteps, config, atMost);
    case 'relora':
      return reloraProblem(totalSteps, config, atMost);
    case 'cola':
      return colaProblem(totalSteps, config, atMost);
    default:
      return undefined;
  }
}

function contextOf(context: AttachContext, index: number, before: readonly Attached[]): AttachContext {
  return {
    ...context,
    random: (...stream) => context.random('method', index, ...stream),
    instance: index === 0 ? '' : `${index}:`,
    before: [...before],
  };
}

function given(prepared: Prepared | undefined): { prepared?: Prepared } {
  return prepared === undefined ? {} : { prepared };
}

/** Names of the checkpoint's tensors that are parameters of the model. */
export function parameterNames(model: LanguageModel): string[] {
  const names = model.sites.flatMap(({ weight, bias }) => [weight, bias].filter((name) => name !== undefined));
  return [...new Set(names)];
}

/** Elements of the parameters that the model uses, a shared one counted once. */
export function parameterCount(model: LanguageModel): number {
  const sizes = new Map<string, number>();
  for (const site of model.sites) {
    for (const kind of ['weight', 'bias'] as const) {
      const name = site[kind];
      if (name !== undefined) sizes.set(name, fixedSize(parameterShape(site, kind)));
    }
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

/**
 * An id without an embedding would be looked up outside of the table.
 * @throws ProblemError `data.token-id` naming the row
 */
export function checkTokenIds(examples: readonly Example[], { model, checkpoint }: OpenedModel): void {
  for (const { ids, source = [], file, line } of examples) {
    const isUnknown = (each: number): boolean => each >= model.vocabSize;
    const id = ids.find(isUnknown) ?? source.find(isUnknown);
    if (id === undefined) continue;
    fail({
      code: 'data.token-id',
      message: l10n.t`the row becomes token ${id}, but the model embeds ${model.vocabSize} tokens only`,
      where: { file, line },
      mend: l10n.t`The tokenizer does not belong to the model ${checkpoint.source}, or its vocabulary was never resized.`,
    });
  }
}

/**
 * A share of few rows may come to none: then nothing is evaluated, and nothing that goes by evaluations can happen.
 * @throws ProblemError `data.no-held-out`
 */
export function checkHeldOut(
  options: Pick<TrainingOptions, 'early_stopping_patience' | 'load_best_model_at_end'>,
  rows: number,
  file: string,
): void {
  if (rows > 0 || (options.early_stopping_patience === undefined && !options.load_best_model_at_end)) return;
  fail({
    code: 'data.no-held-out',
    message: l10n.t`early stopping and the best model go by evaluations, and no rows are held out`,
    where: { file },
    expected: l10n.t`at least one held-out row`,
    mend: l10n.t`Raise data.validation_split, or give data.validation.`,
  });
}

/**
 * Accuracy and F1 go by classes, answers by a model that continues texts.
 * @throws ProblemError `training.metric-task`, `training.answers-task`
 */
export function checkTask(
  {
    metric_for_best_model: metric,
    eval_generations: answers,
  }: Pick<TrainingOptions, 'metric_for_best_model' | 'eval_generations'>,
  { task, kind }: LanguageModel,
  file: string,
): void {
  if (task !== 'SEQ_CLS' && (metric === 'eval_accuracy' || metric === 'eval_macro_f1')) {
    fail({
      code: 'training.metric-task',
      message: l10n.t`metric_for_best_model is ${metric}, which goes by classes, and the task is ${task}`,
      where: { file },
      expected: 'eval_loss, eval_token_accuracy, eval_row_accuracy',
      mend: l10n.t`Choose one of these.`,
    });
  }
  if (kind === 'encoder' && answers > 0) {
    fail({
      code: 'training.answers-task',
      message: l10n.t`eval_generations is ${answers}, and the model is an encoder: it answers nothing`,
      where: { file },
      expected: '0',
      mend: l10n.t`Take eval_generations out.`,
    });
  }
}

/**
 * What tokens are masked with, where that is the task.
 * @throws ProblemError `tokenizer.no-mask`
 */
export function maskingOf({ model, tokenizer, checkpoint }: OpenedModel): { readonly masking?: Masking } {
  if (model.task !== 'MASKED_LM') return {};
  const { maskTokenId } = tokenizer;
  if (maskTokenId === undefined) {
    return fail({
      code: 'tokenizer.no-mask',
      message: l10n.t`the tokenizer has no token that stands for a masked one`,
      where: { file: checkpoint.source },
      expected: l10n.t`mask_token in tokenizer_config.json`,
      mend: l10n.t`Use the tokenizer that the model was pretrained with.`,
    });
  }
  return { masking: { maskTokenId, vocabSize: Math.min(model.vocabSize, tokenizer.vocabSize) } };
}

/** What a vocabulary that does not fit the model would lead to: ids without an embedding. */
export function vocabularyWarnings(model: LanguageModel, tokenizer: Tokenizer): Problem[] {
  if (tokenizer.vocabSize <= model.vocabSize) return [];
  return [
    {
      code: 'tokenizer.vocabulary',
      severity: 'warning',
      message: l10n.t`the tokenizer has ${tokenizer.vocabSize} tokens, the model embeds ${model.vocabSize}`,
      mend: l10n.t`Tokens without an embedding stop the run where they occur: use the tokenizer that belongs to the model.`,
    },
  ];
}

/** Tasks that rows name and that make no difference. */
export function taskWarnings(tasks: readonly string[], methods: readonly Pick<Attached, 'tasks'>[]): Problem[] {
  if (tasks.length === 0) return [];
  if (methods.every((method) => method.tasks === undefined)) {
    return [
      {
        code: 'data.tasks-unused',
        severity: 'warning',
        message: l10n.t`data.task_column names tasks, and no method of the run tells them apart`,
        expected: l10n.t`a method that does, such as prompt_tuning`,
        mend: l10n.t`Remove data.task_column, or choose such a method.`,
      },
    ];
  }
  if (tasks.length > 1) return [];
  return [
    {
      code: 'data.one-task',
      severity: 'warning',
      message: l10n.t`all rows are of the task "${tasks[0]!}"`,
      mend: l10n.t`Nothing to do if that is meant; else name another column as data.task_column.`,
    },
  ];
}

/** Rows longer than the model's positions train, but on positions that it never saw. */
export function positionWarnings(
  examples: readonly Example[],
  model: LanguageModel,
  methods: readonly Pick<Attached, 'hooks'>[] = [],
): Problem[] {
  const virtual = positionsInFront(methods.map((method) => method.hooks));
  const longer = examples.filter(({ ids }) => virtual + ids.length > model.maxPositions);
  const [first] = longer;
  if (first === undefined) return [];
  return [
    {
      code: 'data.long-rows',
      severity: 'warning',
      message:
        virtual > 0
          ? l10n.t`${longer.length} rows, with ${virtual} virtual tokens before each, are longer than the ${model.maxPositions} positions that the model was made for`
          : l10n.t`${longer.length} rows are longer than the ${model.maxPositions} positions that the model was made for`,
      where: { file: first.file, line: first.line },
      mend: l10n.t`Set data.max_length to at most ${Math.max(1, model.maxPositions - virtual)}.`,
    },
  ];
}
