import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { formatCount } from '../common/format.js';
import { fail } from '../common/problem.js';
import { parameterShape } from '../models/site.js';
import type { Site } from '../models/site.js';
import { abs, mul, sub } from '../tensor/ops/elementwise.js';
import { reduceSum } from '../tensor/ops/reduce.js';
import { sumOf } from '../tensor/ops/shape.js';
import { variable, weight } from '../tensor/tensor.js';
import type { Tensor } from '../tensor/tensor.js';
import { baseParameters } from './baseParameters.js';
import type { MethodInfo } from './info.js';
import { markLargest } from './largest.js';
import { phaseAt } from './ltSftPhases.js';
import type { PhasePlace } from './ltSftPhases.js';
import type {
  AttachContext,
  Attached,
  Method,
  Prepared,
  Regularizer,
  SavedMethod,
  Trainable,
  Turn,
  TurnView,
} from './method.js';
import { parameterSize } from './parameters.js';
import type { TrainedParameter } from './parameters.js';
import { attachDeltas } from './sparseDelta.js';
import { sparseConfig, sparseFormat } from './sparseDeltaConfig.js';
import { numbersAt } from './sparseMoves.js';
import type { NumbersAt } from './sparseMoves.js';
import { indicesKey, placesOf, preparedPlaces, sparseTargets, valuesKey, weightSize } from './sparsePlaces.js';
import type { SparseTargets } from './sparsePlaces.js';
import { TargetOptions } from './targets.js';
import { wholeTensors } from './wholeTensors.js';

/** LT-SFT's options, under the names of its authors' composable-sft where it has them. */
export const LtSftOptions = Type.Object(
  {
    type: Type.Literal('lt_sft'),
    ft_params_proportion: Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      default: 0.01,
      description: 'Share of the numbers of the targeted weights that the result changes.',
    }),
    n_ft_iterations: Type.Integer({
      minimum: 1,
      default: 1,
      description: 'How many times numbers are chosen, the same share each time, among those not chosen before.',
    }),
    full_ft_share: Type.Number({
      exclusiveMinimum: 0,
      exclusiveMaximum: 1,
      default: 0.5,
      description:
        'Share of the steps of each iteration in which all targeted weights train, to find out which numbers change most.',
    }),
    full_l1_reg: Type.Number({
      minimum: 0,
      default: 0,
      description: 'Weight of the mean distance |θ − θ₀| from the base model in the loss while all weights train.',
    }),
    sparse_l1_reg: Type.Number({
      minimum: 0,
      default: 0,
      description: 'The same while only the chosen numbers train.',
    }),
    ...TargetOptions,
  },
  { additionalProperties: false },
);
export type LtSftOptions = Static<typeof LtSftOptions>;

const INFO: MethodInfo<typeof LtSftOptions> = {
  type: 'lt_sft',
  family: 'selective',
  place: 'learned',
  title: 'LT-SFT',
  summary:
    'Trains all weights first, keeps the few numbers that changed most, goes back and trains only those; results add up.',
  paper: {
    authors: 'Ansell, Ponti, Korhonen & Vulić',
    year: 2022,
    title: 'Composable Sparse Fine-Tuning for Cross-Lingual Transfer',
    arxiv: '2110.07560',
  },
  engines: ['embedded'],
  mergeable: true,
  guidesItself: true,
  options: LtSftOptions,
};

const PEFT_TYPE = 'LT_SFT';

/** Beside the places, in a run: the phase from which on they hold, and when it began. */
const ITERATION = '#iteration';
const SPARSE = '#sparse';
const STARTED = '#started';

/** A smaller difference does not count, as in the authors' code. */
const SMALLEST = 1e-7;

/**
 * Lottery-ticket sparse fine-tuning (Ansell et al. 2022, section 3.1, algorithm 1). Phase 1 trains the targeted weights
 * whole; the k numbers with the largest |θ₁ − θ₀| are kept; then all goes back to where the phase began, the head of the
 * task too, and phase 2 trains a difference at these places alone. With `n_ft_iterations` that is repeated, each time with
 * int(int(p·N) / n) numbers not chosen before, from where the last phase 2 ended; differences are measured from θ₀ all the
 * same. `l1`: λ/N · Σ|θ − θ₀| over the targeted weights, N the numbers of the base model, as the authors' code has it.
 *
 * As in their code each phase has an optimizer and a learning-rate schedule of its own, warm-up included. Where their code
 * keeps all numbers at the threshold, here the first of equal ones are, so that there are exactly k. Weight decay in phase 2
 * pulls towards θ₀ (see `attachDeltas`); in their code it would move numbers that the mask holds.
 */
export const ltSft: Method<typeof LtSftOptions> = {
  info: INFO,
  attach(options, context) {
    const { prepared } = context;
    const inRun = prepared === undefined || prepared.has(ITERATION);
    // An adapter on disk says itself which weights it changes.
    if (!inRun) return sparsePhase(options, context, undefined);
    const targets = sparseTargets(INFO.type, options, context);
    keptAtOnce(options, targets);
    return prepared?.has(SPARSE) === true
      ? sparsePhase(options, context, targets)
      : fullPhase(options, context, targets);
  },
  peft: sparseFormat(PEFT_TYPE, INFO),
};

/** How many numbers are chosen at a time. @throws ProblemError `lt-sft.nothing` */
function keptAtOnce(
  { ft_params_proportion: share, n_ft_iterations: times }: LtSftOptions,
  { weights }: SparseTargets,
): number {
  const total = [...weights.values()].reduce((size, site) => size + weightSize(site), 0);
  const count = Math.floor(Math.floor(share * total) / times);
  if (count > 0) return count;
  return fail({
    code: 'lt-sft.nothing',
    message:
      times === 1
        ? l10n.t`ft_params_proportion ${share} of ${total} numbers is not one number`
        : l10n.t`ft_params_proportion ${share} of ${total} numbers, in ${times} parts, is not one number`,
    expected: l10n.t`a ft_params_proportion of at least ${(times / total).toExponential(1)}`,
    mend: l10n.t`Raise ft_params_proportion, or target more modules.`,
  });
}

/** All targeted weights train, from where the phase 2 before left them. */
function fullPhase(options: LtSftOptions, context: AttachContext, targets: SparseTargets): Attached {
  const { instance = '', prepared = new Map(), read } = context;
  const { weights } = targets;
  const parameters = [...weights.values()].map((site): TrainedParameter => ({
    site,
    kind: 'weight',
    key: site.weight!,
    variable: variable(`${instance}${site.weight!}`, parameterShape(site, 'weight')),
  }));
  const whole = wholeTensors(parameters, context, 'values');
  const starts = new Map(
    parameters.map(({ site, variable: { name } }) => [
      name,
      async () => moved(await read(site.weight!), placesIn(prepared, site)),
    ]),
  );
  const total = [...weights.values()].reduce((size, site) => size + weightSize(site), 0);
  return {
    ...phased(options, prepared, 'full'),
    type: INFO.type,
    hooks: whole.hooks,
    trainables: whole.trainables.map((each): Trainable => ({ ...each, start: starts.get(each.variable.name)! })),
    isPassing: true,
    turn: async (now) => chosen(options, context, targets, now),
    regularizers: () =>
      l1(
        options.full_l1_reg,
        context,
        parameters.map(({ site, variable: own }) => sub(own, weight(site.weight!, own.shape))),
      ),
    coverage: {
      targets: targets.match.entries,
      modules: whole.modules,
      layersCovered: whole.layersCovered,
      saves: l10n.t`adapter_model.safetensors with ${formatCount(options.n_ft_iterations * keptAtOnce(options, targets))} differences and their places, of ${formatCount(total)} numbers, and adapter_config.json; until they are chosen all these numbers train, which needs the memory of full fine-tuning`,
      warnings: [...targets.match.warnings, ...targets.warnings],
    },
    report: () => [...weights.values()].map(({ path }) => ({ path, density: 1 })),
    merge: whole.merge,
    // What a run that ends here has learned: a model of whole weights.
    save: (values) => ({ kind: 'model', weights: whole.tensors(values) }),
    load: whole.load,
  };
}

/** The chosen numbers train. */
function sparsePhase(options: LtSftOptions, context: AttachContext, targets: SparseTargets | undefined): Attached {
  const { prepared = new Map() } = context;
  const method = { ...INFO, config: sparseConfig(PEFT_TYPE, options, context) };
  const deltas = attachDeltas(options, context, method);
  const variables = deltas.trainables.map(({ variable: own }) => own);
  const save = (values: Parameters<Attached['save']>[0]): SavedMethod => withoutTiny(deltas.save(values));
  if (targets === undefined) return { ...deltas, save };
  return {
    ...deltas,
    ...phased(options, prepared, 'sparse'),
    // The result has the numbers of the iterations to come, too.
    isPassing: note(prepared, ITERATION) < options.n_ft_iterations - 1,
    turn: (now) => Promise.resolve(widened(targets, context, now)),
    regularizers: () => l1(options.sparse_l1_reg, context, variables),
    save,
  };
}

/** What both phases say of the course of a run. */
function phased(
  options: LtSftOptions,
  prepared: Prepared,
  kind: PhasePlace['kind'],
): Pick<Attached, 'turnsAfter' | 'learningRate' | 'startedAfter'> {
  const iteration = note(prepared, ITERATION);
  const isOwn = (place: PhasePlace): boolean => place.iteration === iteration && place.kind === kind;
  return {
    turnsAfter: (at) => {
      const place = phaseAt(options, at);
      return isOwn(place) && at.step === place.ends && at.step < at.totalSteps;
    },
    learningRate: (at, schedule) => {
      const { started, ends } = phaseAt(options, at);
      return schedule({ step: at.step - started, totalSteps: ends - started });
    },
    startedAfter: () => note(prepared, STARTED),
  };
}

/** The end of phase 1: the numbers that moved furthest from the base model, with those chosen before. */
async function chosen(
  options: LtSftOptions,
  { instance = '', prepared = new Map(), read }: AttachContext,
  targets: SparseTargets,
  { at, values }: TurnView,
): Promise<Turn> {
  const sites = [...targets.weights.values()];
  const taken = sites.map((site) => markedAt(placesIn(prepared, site).places, weightSize(site)));
  const moves: Float32Array[] = [];
  for (const [index, site] of sites.entries()) {
    const [now, base] = [values.get(`${instance}${site.weight!}`)!, await read(site.weight!)];
    moves.push(movesOf(now, base, taken[index]!));
  }
  const marks = markLargest(moves, keptAtOnce(options, targets));
  const places = sites.map((_, index) => {
    let next = 0;
    return placesOf(taken[index]!.map((mark) => (mark === 1 ? 1 : marks[index]![next++]!)));
  });
  const starts = sites.flatMap((site, index) => {
    const all = places[index]!;
    if (all.length === 0) return [];
    return [[`${instance}${valuesKey(site)}`, numbersAt(all, placesIn(prepared, site))] as const];
  });
  return {
    prepared: preparedPlaces(targets, places, { ...notes(note(prepared, ITERATION), at.step), [SPARSE]: 1 }),
    values: new Map([...starts, ...beside(prepared)]),
    startsOver: true,
  };
}

/** |now − base| of the numbers that are not taken, in their order. */
function movesOf(now: Float32Array, base: Float32Array, taken: Uint8Array): Float32Array {
  const moves = new Float32Array(base.length);
  let count = 0;
  base.forEach((value, place) => {
    if (taken[place] === 0) moves[count++] = Math.abs(now[place]! - value);
  });
  return moves.subarray(0, count);
}

/** The end of a phase 2 that another iteration follows: all targeted weights train again, from where they are. */
function widened(
  targets: SparseTargets,
  { instance = '', prepared = new Map() }: AttachContext,
  { at, values }: TurnView,
): Turn {
  const sites = [...targets.weights.values()].filter((site) => prepared.has(indicesKey(site)));
  const differences = new Map(sites.map((site) => [`${instance}${valuesKey(site)}`, site]));
  // What trains beside the method, the head of the task, goes on; the next phase 1 will end with it as it is now.
  const others = [...values].filter(([name]) => !differences.has(name));
  const next = Object.entries(notes(note(prepared, ITERATION) + 1, at.step));
  return {
    prepared: new Map<string, Float32Array | Int32Array>([
      ...next.map(([name, value]) => [name, Int32Array.of(value)] as const),
      ...sites.map((site) => [indicesKey(site), prepared.get(indicesKey(site))!] as const),
      ...[...differences].map(([name, site]) => [valuesKey(site), values.get(name)!.slice()] as const),
      ...others.map(([name, data]) => [`${BESIDE}${name}`, data.slice()] as const),
    ]),
    values: new Map(others),
    startsOver: true,
  };
}

/** Differences that were trained before, and where they are in a weight. */
function placesIn(prepared: Prepared, site: Site): NumbersAt {
  const [places, values] = [prepared.get(indicesKey(site)), prepared.get(valuesKey(site))];
  return places instanceof Int32Array && values instanceof Float32Array
    ? { places, values }
    : { places: new Int32Array(), values: new Float32Array() };
}

function moved(base: Float32Array, { places, values }: NumbersAt): Float32Array {
  const result = Float32Array.from(base);
  places.forEach((place, at) => (result[place]! += values[at]!));
  return result;
}

function markedAt(places: Int32Array, size: number): Uint8Array {
  const marks = new Uint8Array(size);
  for (const place of places) marks[place] = 1;
  return marks;
}

/** Numbers of what trains beside the method, as they were when a phase began. */
const BESIDE = '#beside/';

function beside(prepared: Prepared): [string, Float32Array][] {
  return [...prepared].flatMap(([key, data]): [string, Float32Array][] =>
    key.startsWith(BESIDE) && data instanceof Float32Array ? [[key.slice(BESIDE.length), data]] : [],
  );
}

function notes(iteration: number, started: number): Record<typeof ITERATION | typeof STARTED, number> {
  return { [ITERATION]: iteration, [STARTED]: started };
}

function note(prepared: Prepared, name: string): number {
  return prepared.get(name)?.[0] ?? 0;
}

/**
 * λ/N · Σ|θ − θ₀|, N the numbers of the base model (Ansell et al. 2022, section 3.1).
 * @param differences θ − θ₀ of each tensor
 */
function l1(strength: number, context: AttachContext, differences: readonly Tensor[]): readonly Regularizer[] {
  if (strength === 0) return [];
  const total = [...baseParameters(context).values()].reduce(
    (size, { variable: { shape } }) => size + parameterSize(shape),
    0,
  );
  const distances = differences.map((each) => reduceSum(abs(each), [...each.shape.keys()]));
  return [{ name: 'l1', term: mul(sumOf(distances), strength / total) }];
}

/** Without differences that do not count, and tensors of which none is left. */
function withoutTiny(saved: SavedMethod): SavedMethod {
  if (saved.kind !== 'adapter') return saved;
  const places = new Map(saved.indices?.map(({ name, data }) => [name, data]));
  const kept = saved.tensors.flatMap(({ name, data }) => {
    const counts = (at: number): boolean => Math.abs(data[at]!) > SMALLEST;
    const indicesName = name.replace(/\.values$/, '.indices');
    const own = data.filter((_, at) => counts(at));
    const indices = { name: indicesName, data: places.get(indicesName)!.filter((_, at) => counts(at)) };
    return own.length === 0 ? [] : [{ tensor: { name, shape: [own.length], data: own }, indices }];
  });
  return { ...saved, tensors: kept.map(({ tensor }) => tensor), indices: kept.map(({ indices }) => indices) };
}
