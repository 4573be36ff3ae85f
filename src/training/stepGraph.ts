import type { TrainingOptions } from '../config/schema.js';
import type { Attached, StateTensor, Trainable, Updates } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import { gradients } from '../tensor/grad.js';
import { joinProducts } from '../tensor/joinProducts.js';
import { after } from '../tensor/ops/after.js';
import { abs, add, and, div, less, mul, where } from '../tensor/ops/elementwise.js';
import { substitute } from '../tensor/substitute.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { input, scalar } from '../tensor/tensor.js';
import { clipFactor, normOf } from './gradientNorm.js';
import { lossGraph } from './lossGraph.js';
import { createOptimizer } from './optimizers/optimizer.js';
import type { Optimizer } from './optimizers/optimizer.js';
import { inSlots } from './optimizers/slots.js';
import type { Slot } from './optimizers/slots.js';
import { isLarge, memberOf, packTrainables, packed } from './packs.js';
import type { Pack } from './packs.js';

/** A training step as symbolic tensors, cut where programs may be: a batch's gradients, and the update from them. */
export interface StepGraph {
  /** What trains. */
  readonly packs: readonly Pack[];
  /** Trainables that the model reads but that do not train at present. */
  readonly resting: readonly Trainable[];
  readonly state: readonly StateTensor[];
  /** A pack's optimizer slots. */
  slotsOf(pack: Pack): readonly Slot[];
  /** What the optimizer's scalar inputs hold at a step of the run (from 1). */
  scalars(step: number, learningRate: number): Readonly<Record<string, number>>;
  /** Cross-entropy summed over a batch's supervised tokens, []. */
  readonly lossSum: Tensor;
  /** Further terms of the loss, weighted, []; those of one name added up. */
  readonly terms: ReadonlyMap<string, Tensor>;
  /** Per pack, the gradient of one batch's share of the step's loss. */
  readonly batchGradients: readonly Tensor[];
  /**
   * The update from the gradients of the whole step.
   * @param whole per pack
   * @param alsoFinite what has to be finite beside the gradient's norm, for the step to be taken
   */
  update(whole: readonly Tensor[], alsoFinite?: Tensor): StepUpdate;
  /**
   * Where sharpness-aware minimization takes its second gradient, per pack (Foret et al. 2021, eq. 2: the ascent to the
   * worst point within ρ; adaptive: Kwon et al. 2021, eq. 8).
   */
  ascent(whole: readonly Tensor[]): readonly Tensor[];
}

export interface StepUpdate {
  /** Global L2 norm of the gradient before clipping, []. */
  readonly norm: Tensor;
  /** New numbers by variable: packs, their optimizer slots, state tensors. */
  readonly changes: ReadonlyMap<Variable, Tensor>;
}

/** Inputs that scale a batch's part of the step's loss: per supervised token, and per batch for the other terms. */
export const LOSS_SCALE = 'loss_scale';
export const TERM_SCALE = 'term_scale';

/** Foret et al.'s code adds this to the norm before it divides. */
const SAM_EPSILON = 1e-12;

/** Builds the step of a model with methods attached. */
export function stepGraph(setup: {
  readonly model: LanguageModel;
  readonly methods: readonly Attached[];
  readonly options: TrainingOptions;
  readonly positionLimit: number;
  /** The layer that it begins at; undefined: token ids. */
  readonly frozenBelow?: number | undefined;
}): StepGraph {
  const { model, methods, options, positionLimit, frozenBelow } = setup;
  const isActive = (method: Attached, { variable }: Trainable): boolean => method.active?.().has(variable) ?? true;
  const active = methods.flatMap((method) => method.trainables.filter((each) => isActive(method, each)));
  const resting = methods.flatMap((method) => method.trainables.filter((each) => !isActive(method, each)));
  const ages = new Map(
    methods.flatMap((method) =>
      method.trainables.map(({ variable }) => [variable, method.startedAfter?.(variable) ?? 0] as const),
    ),
  );
  const { elementwise } = createOptimizer(options);
  const rateOf = ({ rate }: Trainable): number => {
    if (rate === undefined) return 1;
    return 'times' in rate ? rate.times : rate.peak / options.learning_rate;
  };
  const packs = packTrainables(active, elementwise, (trainable) => ages.get(trainable)!, rateOf);
  // Corrections go by the age of the slots, so that slots of an age have an optimizer of their own; so has a learning rate.
  const kindOf = ({ startedAfter: age, rate }: Pack): string =>
    `${age === 0 ? '' : `${age}/`}${rate === 1 ? '' : `rate ${rate}/`}`;
  const optimizers = new Map(
    packs.map((pack) => [kindOf(pack), { pack, optimizer: createOptimizer(options, kindOf(pack)) }] as const),
  );
  const optimizerOf = (pack: Pack): Optimizer => optimizers.get(kindOf(pack))!.optimizer;
  const slotsOf = (pack: Pack): readonly Slot[] => optimizerOf(pack).slots(pack);
  const members = packs.flatMap((pack) => pack.members.map((member) => ({ pack, member })));
  const packOf = new Map(members.map((each) => [each.member.trainable.variable, each]));
  // Models and methods speak of trainables; the graph has vectors of many. One that is alone is its own view.
  const views = new Map<Tensor, Tensor>(
    members.flatMap(({ member: { trainable, view } }) =>
      view === trainable.variable ? [] : [[trainable.variable, view] as const],
    ),
  );
  // All tensors in one go: each would get a copy of its own of what they share.
  const inViews = (tensors: readonly Tensor[]): Tensor[] => substitute(tensors, views);

  const loss = lossGraph(
    model,
    methods.map((method) => method.hooks),
    { training: true, positionLimit, frozenBelow },
  );
  const { phase } = loss;
  const regularizers = methods.flatMap((method) => method.regularizers?.() ?? []);
  const [lossSum, ...ownTerms] = joinProducts(
    inViews([loss.lossSum, ...regularizers.map(({ term }) => term)]),
  ) as [Tensor, ...Tensor[]];
  const terms = new Map<string, Tensor>();
  for (const [at, { name }] of regularizers.entries()) {
    // Two methods of a kind have one curve.
    const other = terms.get(name);
    terms.set(name, other === undefined ? ownTerms[at]! : add(other, ownTerms[at]!));
  }
  const termScale = input(TERM_SCALE, 'float32', []);
  const whole = [...terms.values()].reduce<Tensor>(
    (sum, term) => add(sum, mul(term, termScale)),
    mul(lossSum, input(LOSS_SCALE, 'float32', [])),
  );
  const perMember = gradients(
    whole,
    members.map(({ member }) => member.view),
  );
  const gradientOf = new Map(members.map(({ member }, at) => [member.trainable.variable, perMember[at]!]));

  /** A trainable's part of tensors that belong to the packs. */
  const partOf =
    (ofPacks: readonly Tensor[]) =>
    (trainable: Variable): Tensor => {
      const place = packOf.get(trainable);
      if (place === undefined) throw new Error(`${trainable.name} does not train at present`);
      return memberOf(place.pack, place.member, ofPacks[packs.indexOf(place.pack)]!);
    };
  const policies = methods.filter((method) => method.gradient !== undefined);
  /** Gradients as the methods want them. */
  const governed = (ofPacks: readonly Tensor[]): readonly Tensor[] => {
    if (policies.length === 0) return ofPacks;
    const part = partOf(ofPacks);
    return inViews(
      packs.map((pack) =>
        packed(pack, (each) =>
          policies.reduce((gradient, method) => method.gradient!(each, gradient, phase), part(each)),
        ),
      ),
    );
  };

  return {
    packs,
    resting,
    state: methods.flatMap((method) => method.state ?? []),
    slotsOf,
    scalars: (step, rate) =>
      Object.assign(
        {},
        ...[...optimizers.values()].map(({ pack, optimizer }) =>
          optimizer.scalars(step - pack.startedAfter, pack.rate * rate),
        ),
      ),
    lossSum,
    terms,
    batchGradients: packs.map((pack) => packed(pack, (each) => gradientOf.get(each)!)),
    update(gradient, alsoFinite) {
      // The way into other coordinates is linear, so that clipping may come behind it: then a dense gradient is let go of
      // before the norm of all of them is known.
      const early = packs.map((pack, at) =>
        pack.slots === undefined || policies.length > 0 ? undefined : inSlots(pack, gradient[at]!),
      );
      const norm = normOf(gradient.map((each, at) => (early[at] === undefined ? each : after(each, early[at]))));
      const factor = clipFactor(norm, options.max_grad_norm);
      const clipped = (each: Tensor): Tensor => (factor === undefined ? each : mul(each, factor));
      const used = governed(gradient.map(clipped));
      const updated = packs.map((pack, at) => {
        const own = early[at];
        return optimizerOf(pack).update(pack, own === undefined ? inSlots(pack, used[at]!) : clipped(own));
      });
      const changes = new Map<Variable, Tensor>();
      const own = methodUpdates(methods, {
        gradient: partOf(used),
        updated: partOf(updated.map(({ parameter }) => parameter)),
        phase,
      });
      packs.forEach((pack, at) => {
        const { parameter, slots } = updated[at]!;
        const changed = pack.members.some(({ trainable: { variable } }) => own.has(variable));
        const part = partOf(updated.map((each) => each.parameter));
        const next = changed ? packed(pack, (each) => own.get(each) ?? part(each)) : parameter;
        // One buffer is read and written: what a step that is not finite leaves there are the old numbers. Waiting for
        // the norm, it is written after the last gradient has read the old ones.
        changes.set(pack.variable, isLarge(pack) ? where(allFinite(norm, alsoFinite), next, pack.variable) : next);
        slotsOf(pack).forEach(({ variable }, slot) => changes.set(variable, slots[slot]!));
      });
      for (const [variable, tensor] of own) if (!packOf.has(variable)) changes.set(variable, tensor);
      const seen = inViews([...changes.values()]);
      return { norm, changes: new Map([...changes.keys()].map((variable, at) => [variable, seen[at]!])) };
    },
    ascent(gradient) {
      const used = governed(gradient);
      const { sam_rho: rho, sam_adaptive: adaptive } = options;
      const scaled = adaptive ? packs.map((pack, at) => mul(abs(pack.variable), used[at]!)) : used;
      const step = div(scalar(rho), add(normOf(scaled), SAM_EPSILON));
      return packs.map((pack, at) => {
        const direction = adaptive ? mul(abs(pack.variable), scaled[at]!) : used[at]!;
        return add(pack.variable, mul(direction, step));
      });
    },
  };
}

function methodUpdates(
  methods: readonly Attached[],
  view: Parameters<NonNullable<Attached['update']>>[0],
): Updates {
  return new Map(methods.flatMap((method) => [...(method.update?.(view) ?? [])]));
}

/** Comparisons with NaN are false. */
function allFinite(norm: Tensor, also: Tensor | undefined): Tensor {
  const finite = (x: Tensor): Tensor => less(abs(x), Infinity);
  return also === undefined ? finite(norm) : and(finite(norm), finite(also));
}
