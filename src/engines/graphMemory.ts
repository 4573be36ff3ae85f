import * as l10n from '@vscode/l10n';
import type { MethodConfig, TrainingOptions } from '../config/schema.js';
import type { Attached } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import { fixedSize } from '../tensor/dims.js';
import type { Variable } from '../tensor/tensor.js';
import { rowPassMemory } from '../training/rowPassMemory.js';
import { preparationMemory, stepMemory } from '../training/stepMemory.js';
import type { PreparationMemory, StepMemory } from '../training/stepMemory.js';
import { UNKNOWN_STEPS } from './estimatedMethods.js';
import type { EstimatedMethod, ModelHeader } from './estimatedMethods.js';
import { mergesOf, passesOf } from './standIns.js';
import { steeringMemory } from './steeringMemory.js';
import type { SteeringMemory } from './steeringMemory.js';

/** Models are told apart by a number of their own. */
const identities = new WeakMap<LanguageModel, number>();
let models = 0;

function identityOf(model: LanguageModel): number {
  const known = identities.get(model) ?? models++;
  identities.set(model, known);
  return known;
}

/** The graphs of a run: its step, passes before it, a steered base. */
interface Remembered {
  readonly memory: StepMemory;
  readonly preparations: readonly PreparationMemory[];
  readonly steering: SteeringMemory | undefined;
  readonly assumptions: readonly string[];
}

/** What graphs are built for, beside the methods. */
interface Graphs {
  readonly positionLimit: number;
  readonly evaluates: boolean;
  readonly steered: LanguageModel | undefined;
  /** The layer that they begin at, where what is below is kept. */
  readonly frozenBelow: number | undefined;
  /** Of the run. */
  readonly totalSteps: number;
}

/** Graphs remembered per model: tens of megabytes while they are planned, little after. */
const KEPT = 8;

const ROW_PASSES: ReadonlySet<string> = new Set(['fish_mask', 'fish_dip', 'sam']);

const remembered = new WeakMap<LanguageModel, Map<string, Remembered>>();

/** What the graphs of a run need; the last few of a model are remembered. */
export function rememberedMemory(
  { model }: ModelHeader,
  methods: readonly EstimatedMethod[],
  attached: readonly Attached[],
  options: TrainingOptions,
  graph: Graphs,
): Remembered {
  const known = remembered.get(model) ?? new Map<string, Remembered>();
  remembered.set(model, known);
  const { optim, momentum, max_grad_norm, sam_rho, sam_adaptive, max_steps } = options;
  const adafactor = Object.entries(options).filter(([key]) => key.startsWith('adafactor'));
  const accumulates = options.gradient_accumulation_steps > 1;
  const configs = methods.map(({ config }) => config);
  const phased = attached.some(isPhased);
  const key = JSON.stringify([
    configs,
    attached.map(({ tasks }) => tasks?.length),
    [graph.positionLimit, graph.evaluates, graph.steered && identityOf(graph.steered), graph.frozenBelow],
    configs.map((config) => mergesOf(config, graph.totalSteps)),
    [optim, momentum, max_grad_norm, sam_rho, sam_adaptive, adafactor, accumulates, phased && max_steps],
    // Passes over single rows take as many at once as a batch has.
    configs.some(({ type }) => ROW_PASSES.has(type)) && options.per_device_train_batch_size,
  ]);
  const found = known.get(key) ?? buildMemory(model, configs, attached, options, graph);
  known.delete(key);
  known.set(key, found);
  const [oldest] = known.keys();
  if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
  return found;
}

/** A phase of methods that change what trains: its last step, whether graphs were built before it, and what has trained by then. */
interface PhaseAt {
  readonly step: number;
  readonly rebuilt: boolean;
  readonly rested: ReadonlySet<Variable>;
}

/** The phase in which the most numbers train, of equal ones the last, until everything has had its turn. */
function largestPhase(methods: readonly Attached[], phased: readonly Attached[], totalSteps: number): PhaseAt {
  const all = phased.reduce((sum, { trainables }) => sum + trainables.length, 0);
  const rested = new Set<Variable>();
  let largest: PhaseAt & { readonly size: number } = { step: 0, rebuilt: false, rested: new Set(), size: 0 };
  let rebuilt = false;
  for (let step = 1; step <= totalSteps && rested.size < all; step++) {
    for (const method of methods) if (method.beforeStep?.({ step, totalSteps }) === 'rebuild') rebuilt = true;
    const active = phased.flatMap((method) => [...method.active!()]);
    for (const variable of active) rested.add(variable);
    const size = active.reduce((sum, { shape }) => sum + fixedSize(shape), 0);
    if (size >= largest.size) largest = { step, rebuilt, rested: new Set(rested), size };
  }
  return largest;
}

function buildMemory(
  model: LanguageModel,
  configs: readonly MethodConfig[],
  methods: readonly Attached[],
  options: TrainingOptions,
  graph: Graphs,
): Remembered {
  const totalSteps = options.max_steps ?? UNKNOWN_STEPS;
  const phased = methods.filter(isPhased);
  const begin = (): void => methods.forEach((method) => void method.beforeStep?.({ step: 1, totalSteps }));
  begin();
  const { step: largest, ...state } = largestPhase(methods, phased, totalSteps);
  begin();
  for (let step = 1; step <= largest; step++) methods.forEach((each) => each.beforeStep?.({ step, totalSteps }));
  const rebuilt = state.rebuilt || methods.some((method) => method.turn !== undefined);
  const memory = stepMemory({ model, methods, options, ...graph, ...state, rebuilt });
  // What a run attached is its own again.
  begin();
  const preparations = configs.flatMap((config, at) => {
    const before = methods.slice(0, at);
    const request = passesOf(config, model, before);
    if (request === undefined) return [];
    return 'sums' in request
      ? rowPassMemory(model, before, request, {
          positionLimit: graph.positionLimit,
          most: options.per_device_train_batch_size,
        })
      : [preparationMemory(model, before, request, graph.positionLimit)];
  });
  const { steered, positionLimit } = graph;
  return {
    memory,
    preparations,
    steering: steered && steeringMemory(steered, model, methods, positionLimit),
    assumptions: [
      ...restAssumptions(configs, methods),
      ...methods
        .filter(({ isPassing }) => isPassing === true)
        .map(
          ({ type }) =>
            l10n.t`${type} is counted as it begins, with all targeted weights: what follows needs less.`,
        ),
      ...configs.flatMap((config) => mergeAssumptions(config, graph.totalSteps)),
      ...(phased.length === 0
        ? []
        : [
            options.max_steps === undefined
              ? l10n.t`${phased.map(({ type }) => type).join(', ')} trains a part at a time; all parts have had their turn.`
              : l10n.t`${phased.map(({ type }) => type).join(', ')} trains a part at a time; as after ${totalSteps} steps.`,
          ]),
    ],
  };
}

/** Whether what trains changes from step to step. */
function isPhased({ active, beforeStep }: Attached): boolean {
  return active !== undefined && beforeStep !== undefined;
}

/** What is counted of updates that were merged. */
function mergeAssumptions(config: MethodConfig, totalSteps: number): string[] {
  const merges = mergesOf(config, totalSteps);
  if (merges === 0) return [];
  return [
    merges === 1
      ? l10n.t`${config.type} is counted as after its last merge: the merged update lies beside the weights.`
      : l10n.t`${config.type} is counted as after its last merge: ${merges} merged updates lie beside the weights.`,
  ];
}

/** What is counted of numbers that no longer train. */
function restAssumptions(configs: readonly MethodConfig[], methods: readonly Attached[]): string[] {
  return configs.flatMap((config, at) => {
    if (config.type !== 'fish_dip') return [];
    const rests = methods[at]!.trainables.some(({ readAtRest }) => readAtRest === true);
    return rests
      ? l10n.t`fish_dip chooses anew: counted with as many numbers that trained before, and rest, as train at a time.`
      : l10n.t`fish_dip chooses anew: numbers that trained before, and rest, are not counted.`;
  });
}
