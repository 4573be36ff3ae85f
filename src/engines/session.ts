import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { random } from '../common/random.js';
import type { MethodConfig, TrainingOptions } from '../config/schema.js';
import type { Example } from '../data/example.js';
import { scheduleProblem } from '../methods/adaloraBudget.js';
import type { AttachContext, Attached, PrepareContext, Prepared } from '../methods/method.js';
import { checkPrepared, attachMethod, prepareMethod } from '../methods/registry.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Checkpoint } from '../models/checkpoint.js';
import type { HubOptions } from '../models/hub/context.js';
import { modelIdText } from '../models/hub/ids.js';
import { locateModel } from '../models/hub/resolveModel.js';
import { loadTokenizer } from '../models/loadTokenizer.js';
import { openCheckpoint } from '../models/openCheckpoint.js';
import { readModel } from '../models/readModel.js';
import type { Tokenizer } from '../models/tokenizer.js';
import { positionsInFront } from '../models/keysInFront.js';

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
 * @throws ProblemError of the hub (see {@link locateModel}), the checkpoint or the tokenizer
 */
export async function openModel(source: string, seed: number, hub: HubOptions = {}): Promise<OpenedModel> {
  const { place, id } = await locateModel(source, hub);
  const checkpoint = await openCheckpoint(place);
  const model = readModel(checkpoint);
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
 */
export async function prepareMethods(
  configs: readonly MethodConfig[],
  context: AttachContext,
  passes: (before: readonly Attached[]) => PrepareContext['squaredGradients'],
): Promise<(Prepared | undefined)[]> {
  const prepared: (Prepared | undefined)[] = [];
  const methods: Attached[] = [];
  for (const [index, config] of configs.entries()) {
    const own = contextOf(context, index, methods);
    const found = await prepareMethod(config, { ...own, squaredGradients: passes(methods) });
    prepared.push(found);
    methods.push(attachMethod(config, { ...own, ...given(found) }));
  }
  return prepared;
}

/**
 * What attaching the methods would refuse, before any of them prepares. Methods behind one that prepares see only
 * those before it.
 */
export function checkMethods(configs: readonly MethodConfig[], context: AttachContext): void {
  const methods: Attached[] = [];
  for (const [index, config] of configs.entries()) {
    const own = contextOf(context, index, methods);
    if (!checkPrepared(config, own)) methods.push(attachMethod(config, own));
  }
}

/**
 * AdaLoRA's budget has to fall within the run.
 * @throws ProblemError `adalora.schedule`
 */
export function checkSchedules(configs: readonly MethodConfig[], totalSteps: number, file: string): void {
  for (const config of configs) {
    const problem = config.type === 'adalora' ? scheduleProblem(totalSteps, config) : undefined;
    if (problem !== undefined) fail({ ...problem, where: { file } });
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
export function parameterCount(model: LanguageModel, checkpoint: Checkpoint): number {
  let count = 0;
  for (const name of parameterNames(model)) {
    count += checkpoint.tensors.get(name)!.shape.reduce((product, length) => product * length, 1);
  }
  return count;
}

/**
 * An id without an embedding would be looked up outside of the table.
 * @throws ProblemError `data.token-id` naming the row
 */
export function checkTokenIds(examples: readonly Example[], { model, checkpoint }: OpenedModel): void {
  for (const { ids, file, line } of examples) {
    const id = ids.find((each) => each >= model.vocabSize);
    if (id === undefined) continue;
    fail({
      code: 'data.token-id',
      message: `the row becomes token ${id}, but the model embeds ${model.vocabSize} tokens only`,
      where: { file, line },
      mend: `The tokenizer does not belong to the model ${checkpoint.source}, or its vocabulary was never resized.`,
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
    message: 'early stopping and the best model go by evaluations, and no rows are held out',
    where: { file },
    expected: 'at least one held-out row',
    mend: 'Raise data.validation_split, or give data.validation.',
  });
}

/** What a vocabulary that does not fit the model would lead to: ids without an embedding. */
export function vocabularyWarnings(model: LanguageModel, tokenizer: Tokenizer): Problem[] {
  if (tokenizer.vocabSize <= model.vocabSize) return [];
  return [
    {
      code: 'tokenizer.vocabulary',
      severity: 'warning',
      message: `the tokenizer has ${tokenizer.vocabSize} tokens, the model embeds ${model.vocabSize}`,
      mend: 'Tokens without an embedding stop the run where they occur: use the tokenizer that belongs to the model.',
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
      message: `${longer.length} rows${virtual > 0 ? `, with ${virtual} virtual tokens before each,` : ''} are longer than the ${model.maxPositions} positions that the model was made for`,
      where: { file: first.file, line: first.line },
      mend: `Set data.max_length to at most ${Math.max(1, model.maxPositions - virtual)}.`,
    },
  ];
}
