import type { TrainingOptions } from '../config/schema.js';
import type { Batch } from '../data/example.js';
import type { Attached, StepPlace, Values, WeightWork } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Program, Runtime, Value, WeightFiles } from '../runtime/runtime.js';
import type { Variable } from '../tensor/tensor.js';
import type { FrozenRows } from './frozenOutputs.js';
import { batchFeeds, floatFeed, intFeed } from './lossGraph.js';
import { isAlone, isLarge, packedValues } from './packs.js';
import type { Pack } from './packs.js';
import { zeros } from './passSetup.js';
import type { Snapshot } from './snapshot.js';
import { createState } from './state.js';
import type { State, StateEntry } from './state.js';
import { LOSS_SCALE, TERM_SCALE, stepGraph } from './stepGraph.js';
import type { StepGraph } from './stepGraph.js';
import { GRADIENT_NORM, LOSS, TERM, gradientProgram, newName, stepPrograms } from './stepPrograms.js';

export interface StepResult {
  /** Mean cross-entropy per supervised token over all batches of the step. */
  readonly loss: number;
  /** Further terms of the loss, weighted. */
  readonly terms?: Readonly<Record<string, number>>;
  /** Global L2 norm before clipping. */
  readonly gradientNorm: number;
}

/** Takes optimizer steps. */
export interface Stepper {
  /** One optimizer step over one or more batches, whose gradients are accumulated. A step that is not finite is not taken. */
  step(batches: readonly Batch[], at: StepPlace, learningRate: number, dropoutSeed: number): Promise<StepResult>;
  /**
   * What methods find out of the gradient of the step that is taken next ({@link Attached.refresh}).
   * @returns what each says of it; nothing where that gradient is not finite, which the step will tell
   */
  refresh(
    batches: readonly Batch[],
    at: StepPlace,
    dropoutSeed: number,
    weightWork: WeightWork,
  ): Promise<readonly string[]>;
  /** Present numbers of trainables and state tensors; valid until the next step. */
  values(): Values;
  /** Everything that the run has changed; valid until the next step. */
  snapshot(): Snapshot;
  /** Bytes of the numbers that the run changes, all buffers, by what they hold. */
  readonly held: State['bytes'];
  /** Whether a step that breaks off leaves all values as they were: none of them is written in place. */
  readonly isReversible: boolean;
  dispose(): Promise<void>;
}

export interface StepperSetup {
  readonly model: LanguageModel;
  readonly methods: readonly Attached[];
  /** Where to go on; what it lacks starts where its method has it start. */
  readonly start: Snapshot;
  readonly weights: WeightFiles;
  readonly runtime: Runtime;
  readonly options: TrainingOptions;
  readonly positionLimit: number;
  /** What frozen layers give for the rows of the batches; absent: they are computed. */
  readonly frozen?: FrozenRows | undefined;
}

/**
 * Compiles the programs of stepPrograms.ts. The loss of a step is summed over its supervised tokens and divided by their
 * number over all its batches, known before it starts.
 */
export async function createStepper(setup: StepperSetup): Promise<Stepper> {
  // The closures below may hold none of `setup`, whose `start` is as large as the state that is made of it.
  const { methods, options, runtime, weights, frozen } = setup;
  const graph = stepGraph({ ...setup, frozenBelow: frozen?.layer });
  const programs = stepPrograms(graph, options);
  const { sums, points, changed } = programs;

  const state = createState([
    ...(await startEntries(graph, setup.start, weights, new Set(changed))),
    ...sums.map((each, at) => scratch(each, graph.packs[at]!)),
    ...points.map((each): StateEntry => ({ variable: each, buffers: 1, part: 'gradients' })),
  ]);

  const seen = gradientProgram(graph, new Set(methods.flatMap(({ refresh }) => refresh?.of ?? [])));
  const first = await runtime.compile(programs.first, weights);
  const look = seen.sums.size === 0 ? undefined : await runtime.compile(seen.outputs, weights);
  const second = programs.second === undefined ? undefined : await runtime.compile(programs.second);
  const ascent = programs.ascent === undefined ? undefined : await runtime.compile(programs.ascent);

  /** What a program reads of the state. */
  const feedsOf = (program: Program): Record<string, Value> =>
    state.feeds([...program.reads].filter((name) => state.has(name)));
  const into = (variables: readonly Variable[]): Record<string, Value> =>
    Object.fromEntries(
      Object.entries(state.targets(variables.map(({ name }) => name))).map(([name, value]) => [
        newName(name),
        value,
      ]),
    );
  const swap = (variables: readonly Variable[]): void => state.swap(variables.map(({ name }) => name));

  /** What each batch of a step is, and its share of the step's loss. */
  const feedsOfBatches = (batches: readonly Batch[], dropoutSeed: number): readonly Record<string, Value>[] =>
    batches.map((batch, at) => ({
      ...batchFeeds(batch),
      ...frozen?.feeds(batch),
      [LOSS_SCALE]: floatFeed(1 / tokensOf(batches)),
      [TERM_SCALE]: floatFeed(1 / batches.length),
      dropout_seed: intFeed((dropoutSeed + at) | 0),
    }));
  /** Runs the first program over all batches of a step. */
  const overBatches = async (
    batches: readonly Batch[],
    common: Readonly<Record<string, Value>>,
    dropoutSeed: number,
    outputs: readonly Variable[],
  ): Promise<Record<string, number>> => {
    const tokens = tokensOf(batches);
    const total: Record<string, number> = {};
    for (const own of feedsOfBatches(batches, dropoutSeed)) {
      const results = await first.run({ ...feedsOf(first), ...common, ...own }, into(outputs));
      if (second !== undefined) swap(outputs);
      total[LOSS] = (total[LOSS] ?? 0) + numberOf(results[LOSS]) / tokens;
      for (const name of graph.terms.keys()) {
        total[name] = (total[name] ?? 0) + numberOf(results[`${TERM}${name}`]) / batches.length;
      }
      if (second === undefined) total[GRADIENT_NORM] = numberOf(results[GRADIENT_NORM]);
    }
    return total;
  };
  const accumulate = async (...[batches, common, seed]: [readonly Batch[], Record<string, Value>, number]) => {
    for (const { name } of sums) state.read(name).fill(0);
    return overBatches(batches, common, seed, sums);
  };

  /** The gradient of the whole step, by the names of what methods look at. */
  const gradientsOf = async (
    batches: readonly Batch[],
    place: StepPlace,
    dropoutSeed: number,
  ): Promise<Values> => {
    if (look === undefined) return new Map();
    const buffers = new Map([...seen.sums.values()].map((sum) => [sum.name, zeros(sum)]));
    const results = Object.fromEntries([...buffers].map(([name, value]) => [newName(name), value]));
    const common = { ...Object.fromEntries(buffers), ...inputsOf(methods, place) };
    for (const own of feedsOfBatches(batches, dropoutSeed)) {
      await look.run({ ...feedsOf(look), ...common, ...own }, results);
    }
    return new Map([...seen.sums].map(([{ name }, sum]) => [name, buffers.get(sum.name)!.data as Float32Array]));
  };

  return {
    async refresh(batches, at, dropoutSeed, weightWork) {
      const due = methods.flatMap(({ refresh }) => (refresh?.isDue(at) === true ? [refresh] : []));
      if (due.length === 0) return [];
      const gradients = await gradientsOf(batches, at, dropoutSeed);
      if (![...gradients.values()].every(isFinite)) return [];
      const said: string[] = [];
      for (const each of due) {
        const found = await each.refreshed({ at, gradients, state: stateValues(graph, state), weightWork });
        for (const [name, numbers] of found.state) state.read(name).set(numbers);
        said.push(found.says);
      }
      return said;
    },
    async step(batches, place, learningRate, dropoutSeed) {
      const common: Record<string, Value> = {
        ...Object.fromEntries(
          Object.entries(graph.scalars(place.step, learningRate)).map(([name, value]) => [name, floatFeed(value)]),
        ),
        ...inputsOf(methods, place),
      };
      const found =
        second === undefined
          ? await overBatches(batches, common, dropoutSeed, changed)
          : await accumulate(batches, common, dropoutSeed);
      const losses = lossesOf(found, graph);
      let norm = found[GRADIENT_NORM] ?? NaN;
      if (second !== undefined && Number.isFinite(losses.loss)) {
        const governed = { ...common, dropout_seed: intFeed(dropoutSeed | 0) };
        if (ascent !== undefined) {
          await ascent.run({ ...feedsOf(ascent), ...governed }, into(points));
          // The model reads the trainables by their names, whatever numbers they are given.
          const ascended = Object.fromEntries(
            graph.packs.map(({ variable: { name } }, at) => [
              name,
              state.feeds([points[at]!.name])[points[at]!.name]!,
            ]),
          );
          await accumulate(batches, { ...common, ...ascended }, dropoutSeed);
        }
        const results = await second.run({ ...feedsOf(second), ...governed }, into(changed));
        norm = numberOf(results[GRADIENT_NORM]);
      }
      // The values before a step that is not finite stay, to be looked at and saved.
      if (Number.isFinite(losses.loss) && Number.isFinite(norm)) swap(changed);
      return { ...losses, gradientNorm: norm };
    },
    values: () => new Map([...trainedValues(graph, state), ...stateValues(graph, state)]),
    snapshot: () => ({
      values: trainedValues(graph, state),
      slots: slotValues(graph, state),
      state: stateValues(graph, state),
    }),
    held: state.bytes,
    isReversible: !graph.packs.some(isLarge),
    dispose: async () => {
      await first.dispose();
      await look?.dispose();
      await second?.dispose();
      await ascent?.dispose();
    },
  };
}

/** Apart from the closures above, which would keep the numbers alive for as long as the run. */
async function startEntries(
  graph: StepGraph,
  start: Snapshot,
  weights: WeightFiles,
  changed: ReadonlySet<Variable>,
): Promise<StateEntry[]> {
  const entries: StateEntry[] = [];
  for (const pack of graph.packs) {
    const buffers = isLarge(pack) ? 1 : 2;
    const values = new Map<string, Float32Array>();
    for (const { trainable } of pack.members) {
      const { name } = trainable.variable;
      values.set(name, start.values.get(name) ?? (await trainable.start()));
    }
    const isBase = pack.members.every(({ trainable }) => isWeightCopy(trainable.variable, weights));
    const part = isBase ? 'changedWeights' : 'trainables';
    entries.push({ variable: pack.variable, buffers, part, start: packedValues(pack, values) });
    for (const slot of graph.slotsOf(pack)) {
      const nameOf = ({ name }: Variable): string => `${name}/${slot.name}`;
      // Alone, a trainable's slots need not have its shape.
      const own = isAlone(pack)
        ? start.slots.get(nameOf(pack.variable))?.slice()
        : packedValues(pack, start.slots, nameOf, 'zeros');
      entries.push({
        variable: slot.variable,
        buffers,
        part: 'optimizer',
        ...(own === undefined ? {} : { start: own }),
      });
    }
  }
  for (const { variable: each, start: first, readAtRest } of graph.resting) {
    const known = start.values.get(each.name) ?? (readAtRest === true ? await first() : undefined);
    if (known === undefined) continue;
    const part = isWeightCopy(each, weights) ? 'changedWeights' : 'trainables';
    entries.push({ variable: each, buffers: 1, part, start: known });
  }
  for (const { variable: each, start: first } of graph.state) {
    const own = start.state.get(each.name)?.slice() ?? first?.();
    // What no step changes is only read by it.
    const buffers = changed.has(each) ? 2 : 1;
    entries.push({ variable: each, buffers, part: 'state', ...(own === undefined ? {} : { start: own }) });
  }
  return entries;
}

/** Values of the methods' own inputs. */
function inputsOf(methods: readonly Attached[], place: StepPlace): Record<string, Value> {
  return Object.fromEntries(methods.flatMap((method) => Object.entries(method.stepInputs?.(place) ?? {})));
}

/** Supervised tokens of all batches of a step. */
function tokensOf(batches: readonly Batch[]): number {
  return batches.reduce((sum, batch) => sum + batch.targets.length, 0);
}

/** Whether all numbers are. */
function isFinite(numbers: Float32Array): boolean {
  for (const each of numbers) if (!Number.isFinite(each)) return false;
  return true;
}

/** Whether a trainable is a base weight's own copy: it is called like it, after the number of its method. */
function isWeightCopy({ name }: Variable, weights: WeightFiles): boolean {
  return weights.tensors.has(name.replace(/^\d+:/, ''));
}

/** A sum of gradients: added to in place where it is large. */
function scratch(sum: Variable, pack: Pack): StateEntry {
  return { variable: sum, buffers: isLarge(pack) ? 1 : 2, part: 'gradients' };
}

function trainedValues(graph: StepGraph, state: State): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  for (const { variable: each, members } of graph.packs) {
    const vector = state.read(each.name);
    for (const { trainable, offset, size } of members) {
      values.set(trainable.variable.name, vector.subarray(offset, offset + size));
    }
  }
  for (const { variable: each } of graph.resting) {
    if (state.has(each.name)) values.set(each.name, state.read(each.name));
  }
  return values;
}

function slotValues(graph: StepGraph, state: State): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  for (const pack of graph.packs) {
    for (const slot of graph.slotsOf(pack)) {
      const numbers = state.read(slot.variable.name);
      for (const { trainable, offset, size } of pack.members) {
        const own = isAlone(pack) ? numbers : numbers.subarray(offset, offset + size);
        values.set(`${trainable.variable.name}/${slot.name}`, own);
      }
    }
  }
  return values;
}

function stateValues(graph: StepGraph, state: State): Map<string, Float32Array> {
  return new Map(graph.state.map(({ variable: { name } }) => [name, state.read(name)]));
}

function lossesOf(found: Readonly<Record<string, number>>, graph: StepGraph): Omit<StepResult, 'gradientNorm'> {
  const terms = [...graph.terms.keys()].map((name): [string, number] => [name, found[name]!]);
  return { loss: found[LOSS]!, ...(terms.length === 0 ? {} : { terms: Object.fromEntries(terms) }) };
}

function numberOf(value: Value | undefined): number {
  return Number(value!.data[0]);
}
