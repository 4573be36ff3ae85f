import { random } from '../common/random.js';
import type { MethodConfig } from '../config/schema.js';
import { colaMerges } from '../methods/cola.js';
import { largestRatio } from '../methods/fishDip.js';
import { FUSED, packForms } from '../methods/fusionConfig.js';
import type { AttachContext, Attached, GradientRequest, Prepared } from '../methods/method.js';
import { bottleneckForm } from '../methods/adapterOptions.js';
import { denseAdapter } from '../methods/bottleneckAdapter.js';
import { pairsOf } from '../methods/lora.js';
import { startWorkBytes, startsFromBase } from '../methods/loraStart.js';
import { attachMethod } from '../methods/registry.js';
import { reloraMerges } from '../methods/relora.js';
import { afterMerges, savedPairs } from '../methods/restartedLora.js';
import { indicesKey, leftIndicesKey, leftValuesKey } from '../methods/sparsePlaces.js';
import { matchTargets } from '../methods/targets.js';
import { withoutHead } from '../methods/taskHead.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Site } from '../models/site.js';
import { where } from '../tensor/ops/elementwise.js';
import { fixedSize } from '../tensor/dims.js';
import { input, scalar } from '../tensor/tensor.js';
import type { RowPass } from '../training/rowPassMemory.js';
import type { WeightWorkMemory } from '../training/stepMemoryPlan.js';

/**
 * A method as it will be once it has seen the data, for plans of memory: selective ones with their number of places
 * spread evenly over the weights, Child-Tuning with masks of which only the sizes are told. Undefined for a method that need
 * not see the data.
 *
 * @param before the methods attached before it
 * @param placesOf of a selective method, the places that it chose; {@link onePlaceEach} where only the weights matter
 */
export function standInFor(
  config: MethodConfig,
  model: LanguageModel,
  before: readonly Attached[],
  placesOf: (config: SparseMethod, model: LanguageModel) => Prepared = spreadMask,
): Attached | undefined {
  switch (config.type) {
    case 'fish_mask':
    case 'fish_dip':
    case 'pafi':
    case 'sam':
      return attachMethod(config, {
        model,
        modelName: '',
        read: () => Promise.reject(new Error('a plan reads no weights')),
        random: () => {
          throw new Error('the choice of numbers draws nothing');
        },
        prepared: placesOf(config, model),
        idlePatterns: 'warning',
        before,
      });
    case 'sltrain':
      return attachMethod(config, {
        ...planContext(model, before),
        prepared: placesOf(config, model),
        idlePatterns: 'warning',
      });
    case 'child_tuning':
      return config.mode === 'D' ? maskedParents(before) : attachMethod(config, planContext(model, before));
    case 'adapter':
      return config.sparsity > 0 ? prunedAdapter(config, model, before) : undefined;
    case 'adapter_fusion':
      return config.adapters === undefined ? undefined : usualFusion(config, config.adapters, model, before);
    default:
      return undefined;
  }
}

/** How often a method will have merged what it learned by the end of a run. */
export function mergesOf(config: MethodConfig, totalSteps: number): number {
  switch (config.type) {
    case 'relora':
      return reloraMerges(config, totalSteps);
    case 'cola':
      return colaMerges(config);
    default:
      return 0;
  }
}

/** A method that merges as it is in its last cycle, with everything that it merged; undefined for another. */
export function afterLastMerge(
  config: MethodConfig,
  model: LanguageModel,
  before: readonly Attached[],
  totalSteps: number,
): Attached | undefined {
  if (config.type !== 'relora' && config.type !== 'cola') return undefined;
  return attachMethod(config, {
    ...planContext(model, before),
    instance: before.length === 0 ? '' : `${before.length}:`,
    idlePatterns: 'warning',
    prepared: afterMerges(mergesOf(config, totalSteps)),
  });
}

/** Numbers of such a method's adapter at the end of a run, beside those of what trains. */
export function addedByMerges(
  config: Extract<MethodConfig, { type: 'relora' | 'cola' }>,
  model: LanguageModel,
  totalSteps: number,
): number {
  const context: AttachContext = { ...planContext(withoutHead(model), []), idlePatterns: 'warning' };
  return savedPairs(config, context, mergesOf(config, totalSteps)) - savedPairs(config, context, 0);
}

/** The passes over the data that a method makes before a run; undefined for one that makes none. */
export function passesOf(
  config: MethodConfig,
  model: LanguageModel,
  before: readonly Attached[],
): GradientRequest | RowPass | undefined {
  switch (config.type) {
    case 'fish_mask':
      return { weights: [...targetedWeights(config, model).keys()], sums: [config.fisher] };
    case 'fish_dip':
      return { weights: [...targetedWeights(config, model).keys()], sums: ['empirical'] };
    case 'sam':
      return {
        weights: [...targetedWeights(config, model).keys()],
        sums: config.hessian === 'constant' ? ['gradients'] : ['gradients', 'hessian'],
      };
    case 'child_tuning':
      if (config.mode === 'F') return undefined;
      return {
        variables: before.flatMap((each) => (each.alone ?? each).trainables.map(({ variable }) => variable)),
        batchSize: config.batch_size,
        maxGradNorm: config.max_grad_norm,
      };
    case 'adapter': {
      if (config.sparsity === 0 || config.pruning !== 'snip') return undefined;
      const own = denseAdapter(config, planContext(model, before));
      return {
        own,
        variables: own.trainables.map(({ variable }) => variable),
        batchSize: config.pruning_batch_size,
      };
    }
    default:
      return undefined;
  }
}

/** What a method takes of weights that it takes apart before a run; undefined for one that does not. */
export function weightWorkOf(
  config: MethodConfig,
  model: LanguageModel,
  before: readonly Attached[],
): WeightWorkMemory | undefined {
  if (config.type !== 'lora' || !startsFromBase(config.init_lora_weights)) return undefined;
  const init = config.init_lora_weights;
  const { pairs } = pairsOf(config, { ...planContext(withoutHead(model), before), idlePatterns: 'warning' });
  const taken = [...pairs.values()].filter(({ initial }) => initial !== undefined);
  if (taken.length === 0) return undefined;
  const each = taken.map((pair) => startWorkBytes(pair, init));
  return {
    largest: Math.max(...each),
    all: each.reduce((sum, bytes) => sum + bytes, 0),
    found: taken.reduce((sum, { a, b }) => sum + 4 * (fixedSize(a.shape) + fixedSize(b.shape)), 0),
  };
}

/** Methods that choose single numbers of weights. */
type SparseMethod =
  Extract<MethodConfig, { readonly keep_ratio: number }> | Extract<MethodConfig, { type: 'sltrain' }>;

/** The weights that such a method chooses in by name, each with a site that it belongs to. */
function targetedWeights(config: SparseMethod, model: LanguageModel): ReadonlyMap<string, Site> {
  const { sites } = matchTargets(
    config,
    withoutHead(model).sites,
    ({ kind, weight }) => weight !== undefined && (config.type !== 'sltrain' || kind === 'linear'),
  );
  return new Map([...sites].reverse().map((site) => [site.weight!, site]));
}

/** A place in each of the weights that such a method chooses in. */
export function onePlaceEach(config: SparseMethod, model: LanguageModel): Prepared {
  const sites = [...targetedWeights(config, model).values()];
  return new Map(sites.map((site) => [indicesKey(site), Int32Array.of(0)]));
}

/** As many places as such a method will choose, in each weight its share. */
function spreadMask(config: SparseMethod, model: LanguageModel): Prepared {
  const sized = [...targetedWeights(config, model).values()].map((site) => ({
    site,
    size: fixedSize(site.shape),
  }));
  if (config.type === 'sltrain') {
    const counted = sized.map(({ site, size }) => ({ site, count: Math.floor(config.sp_ratio * size) }));
    return new Map(
      counted.flatMap(({ site, count }) => (count === 0 ? [] : [[indicesKey(site), firstPlaces(count)] as const])),
    );
  }
  const ratio = config.type === 'fish_dip' ? largestRatio(config) : config.keep_ratio;
  let rest = Math.floor(ratio * sized.reduce((sum, { size }) => sum + size, 0));
  let left = sized.reduce((sum, { size }) => sum + size, 0);
  const prepared = new Map<string, Int32Array | Float32Array>();
  for (const { site, size } of sized) {
    const count = Math.round((rest * size) / left);
    rest -= count;
    left -= size;
    if (count === 0) continue;
    const places = firstPlaces(count);
    prepared.set(indicesKey(site), places);
    if (config.type !== 'fish_dip') continue;
    // As after a new choice at which every number is another.
    prepared.set(leftIndicesKey(site), places);
    prepared.set(leftValuesKey(site), new Float32Array(count));
  }
  return prepared;
}

/** A loop: `from` takes a hundred times as long, and a plan makes millions. */
function firstPlaces(count: number): Int32Array {
  const places = new Int32Array(count);
  for (let at = 0; at < count; at++) places[at] = at;
  return places;
}

type Adapter = Extract<MethodConfig, { type: 'adapter' }>;

/** A pruned adapter whose masks are empty: only their sizes matter. */
function prunedAdapter(config: Adapter, model: LanguageModel, before: readonly Attached[]): Attached {
  const context = planContext(model, before);
  const { trainables } = denseAdapter(config, context);
  const prepared = new Map(
    trainables.map(({ variable: { name, shape } }) => [name, new Int32Array(Math.ceil(fixedSize(shape) / 32))]),
  );
  return attachMethod(config, { ...context, prepared });
}

/** A fusion of adapters that are not read for a plan: of the usual kind and size. */
function usualFusion(
  config: Extract<MethodConfig, { type: 'adapter_fusion' }>,
  adapters: readonly string[],
  model: LanguageModel,
  before: readonly Attached[],
): Attached {
  const forms = adapters.map((_, at) => ({
    name: String(at),
    form: bottleneckForm('pfeiffer', { dropout: 0, leave_out: [] }, model.hiddenSize),
  }));
  return attachMethod(config, { ...planContext(model, before), prepared: new Map([[FUSED, packForms(forms)]]) });
}

function planContext(model: LanguageModel, before: readonly Attached[]): AttachContext {
  return {
    model,
    modelName: '',
    read: () => Promise.reject(new Error('a plan reads no weights')),
    random: (...stream) => random(0, ...stream),
    before,
  };
}

/** The graph and the inputs of Child-Tuning's masks, without their bits. */
function maskedParents(before: readonly Attached[]): Attached {
  const variables = before.flatMap((each) => (each.alone ?? each).trainables.map(({ variable }) => variable));
  const masks = new Map(variables.map((each) => [each, input(`child_tuning/${each.name}`, 'bool', each.shape)]));
  return {
    type: 'child_tuning',
    hooks: {},
    trainables: [],
    gradient: (trainable, gradient) => {
      const mask = masks.get(trainable);
      return mask === undefined ? gradient : where(mask, gradient, scalar(0));
    },
    update: (view) => new Map([...masks].map(([each, mask]) => [each, where(mask, view.updated(each), each)])),
    coverage: { targets: [], modules: [], layersCovered: 0, saves: '', warnings: [] },
    save: () => ({ kind: 'nothing' }),
    load: () => ({ values: new Map(), warnings: [] }),
  };
}
