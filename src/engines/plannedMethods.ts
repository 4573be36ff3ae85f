import * as l10n from '@vscode/l10n';
import { copyName } from '../memory/headerOf.js';
import { parameterCount, usedCount } from '../memory/modelShape.js';
import type { Block, ModelShape, ShapeModule } from '../memory/modelShape.js';
import { countTrained } from '../memory/trained.js';
import type { Trained } from '../memory/trained.js';
import { bottleneckForm, bottleneckSize, factorOf } from '../methods/adapterOptions.js';
import type { BottleneckChoice } from '../methods/adapterOptions.js';
import { biasedSites } from '../methods/bitfit.js';
import { largestRatio } from '../methods/fishDip.js';
import { readsScaled, scaledModules } from '../methods/ia3.js';
import { startRank } from '../methods/doraRank.js';
import { factorShapes } from '../methods/lokr.js';
import { groupedSites } from '../methods/lotrGroups.js';
import { enlarged } from '../methods/sparseAdapter.js';
import { squareSize } from '../methods/squareMatrix.js';
import { trainsWhole } from '../methods/loraParameters.js';
import { firstTrained } from '../methods/lastLayers.js';
import { takesPair } from '../methods/lowRankPair.js';
import type { MethodConfig } from '../methods/registry.js';
import { matchTargets, patternValue } from '../methods/targets.js';
import type { Matchable } from '../methods/targets.js';

/** A run file's methods in the planner's terms. */
export interface PlannedMethods {
  /** The model; layers that the methods treat differently are in blocks of their own. */
  readonly shape: ModelShape;
  readonly methods: readonly Trained[];
  /** Values that train in the course of the run, but rest at any one time. */
  readonly resting: number;
  /** What Hugging Face PEFT does otherwise, or not at all; sentences. */
  readonly notes: readonly string[];
}

/** A module of one layer, as methods find it. Of experts the first stands for all. */
interface ShapeSite extends Matchable {
  readonly module: ShapeModule;
  readonly block: Block | undefined;
}

/** What a method does at some modules; the planner names them by the blocks that they end up in. */
interface Choice {
  readonly sites: ReadonlySet<ShapeSite>;
  readonly make: (targets: readonly string[]) => Trained;
}

/**
 * What the methods of a run file train, on a model of which only `config.json` is known: the same modules, and as many
 * numbers, as attaching them to the model gives.
 * @throws ProblemError `targets.*` where a method matches nothing
 */
export function plannedMethods(shape: ModelShape, configs: readonly MethodConfig[]): PlannedMethods {
  const sites = sitesOf(shape);
  const choices = configs.flatMap((config) => choicesOf(config, shape, sites));
  const split = splitBlocks(shape, sites, choices);
  const methods = [
    ...choices.map(({ sites: chosen, make }) => make([...new Set([...chosen].map(split.pathOf))])),
    ...configs.flatMap((config) => withoutPlace(config, shape)),
  ];
  const layered = configs.some(({ type }) => type === 'lisa');
  return {
    shape: split.shape,
    methods,
    resting: layered ? parameterCount(shape) - countTrained(split.shape, methods).base : 0,
    notes: configs.flatMap(notesOf),
  };
}

/** From which sides of a matrix GaLore projects. */
const PROJECTED_SIDES = {
  std: 'shorter',
  reverse_std: 'longer',
  left: 'left',
  right: 'right',
  full: 'both',
} as const;

/** Every module of every layer. */
function sitesOf({ outside, blocks, vocab }: ModelShape): readonly ShapeSite[] {
  return [
    ...outside.map((module) => ({
      module,
      block: undefined,
      kind: module.kind,
      path: module.name,
      layer: undefined,
      isOutput: module.input === 'head' && module.out === vocab,
    })),
    ...blocks.flatMap((block) =>
      Array.from({ length: block.layers }, (_, layer) =>
        block.modules.map((module) => ({
          module,
          block,
          kind: module.kind,
          path: `${block.name}.${layer}.${module.copies > 1 ? copyName(module.name, 0) : module.name}`,
          layer,
          isOutput: false,
        })),
      ).flat(),
    ),
  ];
}

function choicesOf(config: MethodConfig, shape: ModelShape, sites: readonly ShapeSite[]): readonly Choice[] {
  switch (config.type) {
    case 'lora':
    case 'relora':
    case 'cola': {
      const pairs = matchTargets(config, sites, takesPair).sites;
      const rank = ({ path }: ShapeSite): number => patternValue(config.rank_pattern, path) ?? config.r;
      const dropout = config.lora_dropout > 0;
      const magnitude = config.type === 'lora' && config.use_dora;
      return [
        ...[...new Set(pairs.map(rank))].map((r) => ({
          sites: new Set(pairs.filter((site) => rank(site) === r)),
          make: (targets: readonly string[]): Trained => ({
            kind: 'low-rank',
            targets,
            rank: r,
            dropout,
            magnitude,
          }),
        })),
        ...besidePairs(config, sites, pairs),
      ];
    }
    case 'adalora': {
      const triplets = matchTargets(config, sites, ({ kind }) => kind === 'linear').sites;
      const { init_r: rank, lora_dropout: rate } = config;
      return [
        {
          sites: new Set(triplets),
          make: (targets) => ({ kind: 'low-rank', targets, rank, dropout: rate > 0, singular: true }),
        },
        ...besidePairs(config, sites, triplets),
      ];
    }
    case 'lotr': {
      const adapted = matchTargets(config, sites, ({ kind }) => kind === 'linear').sites;
      const groups = groupedSites(
        adapted.map(({ path, module }) => ({ path, shape: [module.out, module.in] })),
        config.share,
      );
      // L [out, r] and R [r, in]: of r × the sum of both numbers, and 2r more sides.
      const both = groups.reduce((sum, { shape: [out, width] }) => sum + out + width, 0);
      const trained = config.train_factors
        ? { values: config.r * both, sides: both + 2 * config.r * groups.length }
        : NONE;
      return [
        {
          sites: new Set(adapted),
          make: (targets): Trained => ({
            kind: 'factors',
            targets,
            each: config.r ** 2,
            sides: 2 * config.r,
            kept: 2 * config.r,
            built: false,
            shared: trained,
          }),
        },
        ...besidePairs({ ...config, bias: 'none' }, sites, adapted),
      ];
    }
    case 'lokr': {
      const pairs = matchTargets(config, sites, ({ kind }) => kind === 'linear').sites;
      return [
        ...[...grouped(pairs, (site) => kroneckerSize(config, site))].map(([, group]) => ({
          sites: new Set(group),
          make: (targets: readonly string[]): Trained => ({
            kind: 'factors',
            targets,
            ...kroneckerSize(config, group[0]!),
            kept: 0,
            built: true,
            shared: { values: 0, sides: 0 },
          }),
        })),
        ...besidePairs({ ...config, bias: 'none' }, sites, pairs),
      ];
    }
    case 'melora':
    case 'mora': {
      const adapted = matchTargets(config, sites, ({ kind }) => kind === 'linear').sites;
      return [
        ...[...grouped(adapted, (site) => updateSize(config, site))].map(([, group]) => ({
          sites: new Set(group),
          make: (targets: readonly string[]): Trained => ({
            kind: 'factors',
            targets,
            ...updateSize(config, group[0]!),
            built: false,
            shared: { values: 0, sides: 0 },
          }),
        })),
        ...besidePairs(config, sites, adapted),
      ];
    }
    case 'sora': {
      const gated = matchTargets(config, sites, ({ kind }) => kind === 'linear').sites;
      const { r: rank, lora_dropout: rate } = config;
      return [
        {
          sites: new Set(gated),
          make: (targets) => ({ kind: 'low-rank', targets, rank, dropout: rate > 0, gated: true }),
        },
      ];
    }
    case 'dora_rank': {
      const { sites: scaled } = matchTargets(config, sites, ({ kind }) => kind === 'linear');
      const rank = startRank(config);
      const dropout = config.lora_dropout > 0;
      return [
        {
          sites: new Set(scaled),
          make: (targets) => ({ kind: 'low-rank', targets, rank, dropout, gated: true }),
        },
      ];
    }
    case 'dylora': {
      const pairs = matchTargets(config, sites, takesPair).sites;
      const { r: rank, lora_dropout: rate } = config;
      return [
        { sites: new Set(pairs), make: (targets) => ({ kind: 'low-rank', targets, rank, dropout: rate > 0 }) },
      ];
    }
    case 'sltrain': {
      const adapted = matchTargets(config, sites, ({ kind }) => kind === 'linear').sites;
      const chosen = new Set(adapted);
      // A matrix that two modules use is chosen in once, and each matrix by itself.
      const sizes = new Map(adapted.map((site) => [site.module.shared ?? site.path, site]));
      const values = [...sizes.values()].reduce(
        (sum, { module }) => sum + Math.floor(config.sp_ratio * usedCount(module)) * module.copies,
        0,
      );
      const dropout = config.lora_dropout > 0;
      return [
        { sites: chosen, make: (targets) => ({ kind: 'low-rank', targets, rank: config.r, dropout }) },
        { sites: chosen, make: (targets) => ({ kind: 'sparse', targets, values }) },
      ];
    }
    case 'lisa': {
      const active = config.lisa_activated_layers;
      const trained = sites.filter(({ layer }) => layer === undefined || layer < active);
      return [{ sites: new Set(trained), make: (targets) => ({ kind: 'whole', targets }) }];
    }
    case 'bitfit': {
      const { sites: chosen } = biasedSites(config, sites, ({ module }) => module.bias);
      return [{ sites: new Set(chosen), make: (targets) => ({ kind: 'biases', targets }) }];
    }
    case 'last_layers':
      return [
        { sites: new Set(lastSites(config, shape, sites)), make: (targets) => ({ kind: 'whole', targets }) },
      ];
    case 'fish_mask':
    case 'fish_dip':
    case 'pafi':
    case 'sam': {
      const { sites: chosen } = matchTargets(config, sites, () => true);
      // A matrix that two modules use is masked once.
      const sizes = new Map(chosen.map((site) => [site.module.shared ?? site.path, valuesOf(site)]));
      const ratio = config.type === 'fish_dip' ? largestRatio(config) : config.keep_ratio;
      const values = Math.floor(ratio * [...sizes.values()].reduce((sum, size) => sum + size, 0));
      return [{ sites: new Set(chosen), make: (targets) => ({ kind: 'sparse', targets, values }) }];
    }
    case 'learned_mask': {
      const { sites: masked } = matchTargets(config, sites, ({ kind }) => kind === 'linear');
      return [{ sites: new Set(masked), make: (targets) => ({ kind: 'scores', targets }) }];
    }
    case 'intrinsic': {
      const { sites: chosen } = matchTargets(config, sites, () => true);
      return [
        { sites: new Set(chosen), make: (targets) => ({ kind: 'sparse', targets, values: config.intrinsic_dim }) },
      ];
    }
    case 'lt_sft': {
      const { sites: chosen } = matchTargets(config, sites, () => true);
      const sizes = new Map(chosen.map((site) => [site.module.shared ?? site.path, valuesOf(site)]));
      const values = [...sizes.values()].reduce((sum, size) => sum + size, 0);
      return [{ sites: new Set(chosen), make: (targets) => ({ kind: 'sparse', targets, values }) }];
    }
    case 'ia3': {
      const { targets, feedforward } = scaledModules(config, shape.modelType);
      const { sites: scaled } = matchTargets(
        { ...config, target_modules: targets },
        sites,
        ({ kind }) => kind === 'linear',
      );
      const vectors = (side: 'in' | 'out'): Choice => ({
        sites: new Set(scaled.filter(({ path }) => readsScaled(feedforward, path) === (side === 'in'))),
        make: (at): Trained => ({ kind: 'scales', targets: at, side }),
      });
      return [vectors('in'), vectors('out'), ...besidePairs({ ...config, bias: 'none' }, sites, scaled)].filter(
        (choice) => choice.sites.size > 0,
      );
    }
    case 'adapter': {
      const { train_layer_norms: norms } = bottleneckForm(config.placement, config, shape.hidden);
      const trained = sites.filter(({ kind }) => norms && kind === 'norm');
      if (trained.length === 0) return [];
      return [{ sites: new Set(trained), make: (targets) => ({ kind: 'whole', targets }) }];
    }
    case 'adapter_fusion':
      if (config.stage1 === 'ST-A') return [];
      return [{ sites: new Set(sites), make: (targets) => ({ kind: 'whole', targets }) }];
    case 'galore': {
      const { sites: projected } = matchTargets(config, sites, ({ kind }) => kind === 'linear');
      const { rank, proj_type: type } = config;
      return [
        {
          sites: new Set(projected),
          make: (targets) => ({ kind: 'full', projected: { targets, rank, sides: PROJECTED_SIDES[type] } }),
        },
      ];
    }
    case 'ciat':
    case 'full':
    case 'child_tuning':
    case 'prompt_tuning':
    case 'prefix_tuning':
      return [];
  }
}

/** What trains of the last layers on, and of what stands behind them: neither embeddings nor a head that is tied to them. */
function lastSites(
  config: Extract<MethodConfig, { type: 'last_layers' }>,
  { blocks }: ModelShape,
  sites: readonly ShapeSite[],
): readonly ShapeSite[] {
  const first = firstTrained(
    config,
    blocks.reduce((sum, { layers }) => sum + layers, 0),
  );
  const before = (block: Block): number =>
    blocks.slice(0, blocks.indexOf(block)).reduce((sum, { layers }) => sum + layers, 0);
  const encoders = blocks.filter(({ side }) => side === 'encoder').reduce((sum, { layers }) => sum + layers, 0);
  return sites.filter(({ block, layer, module, kind, path }) => {
    if (block !== undefined && layer !== undefined) return before(block) + layer >= first;
    if (kind === 'embedding' || module.shared !== undefined) return false;
    // A norm of embeddings; an encoder's last norm stands before the decoder.
    return !/embeddings|project_in/.test(path) && (!path.startsWith('encoder.') || first < encoders);
  });
}

function valuesOf({ module }: ShapeSite): number {
  return usedCount(module) * module.copies;
}

/** Nothing that modules share. */
const NONE = { values: 0, sides: 0 };

/** Values of a module's Kronecker factors, and rows and columns of their matrices in all. */
function kroneckerSize(
  config: Extract<MethodConfig, { type: 'lokr' }>,
  { module, path }: ShapeSite,
): { readonly each: number; readonly sides: number } {
  const { w1, w2 } = factorShapes([module.out, module.in], path, config);
  const matrices = [w1, w2].flatMap((factor) => (factor.kind === 'whole' ? [factor.whole] : [factor.a, factor.b]));
  return {
    each: matrices.reduce((sum, [rows, columns]) => sum + rows * columns, 0),
    sides: matrices.reduce((sum, [rows, columns]) => sum + rows + columns, 0),
  };
}

/** Values of a module's mini pairs or square matrix, rows and columns, and what a token leaves for the backward pass. */
function updateSize(
  config: Extract<MethodConfig, { type: 'melora' | 'mora' }>,
  { module }: ShapeSite,
): { readonly each: number; readonly sides: number; readonly kept: number } {
  const dropped = config.lora_dropout > 0 ? module.in : 0;
  if (config.type === 'melora') {
    const rank = config.l_num * config.r;
    const sides = module.in + module.out;
    return { each: sides * config.r, sides: sides + 2 * rank, kept: rank + dropped };
  }
  const size = squareSize([module.out, module.in], config.r, config.mora_type);
  return { each: size * size, sides: 2 * size, kept: (config.mora_type === 1 ? size : module.in) + dropped };
}

/** Sites by what a function says of them. */
function grouped(
  sites: readonly ShapeSite[],
  keyOf: (site: ShapeSite) => unknown,
): ReadonlyMap<string, readonly ShapeSite[]> {
  const groups = new Map<string, ShapeSite[]>();
  for (const site of sites) {
    const key = JSON.stringify(keyOf(site));
    groups.set(key, [...(groups.get(key) ?? []), site]);
  }
  return groups;
}

/** `bias` and `modules_to_save`. */
function besidePairs(
  { bias, modules_to_save: whole = [] }: { readonly bias: string; readonly modules_to_save?: readonly string[] },
  sites: readonly ShapeSite[],
  adapted: readonly ShapeSite[],
): readonly Choice[] {
  const copied = sites.filter(({ path }) => trainsWhole(whole, path));
  const biased = (bias === 'all' ? sites : bias === 'lora_only' ? adapted : []).filter(
    ({ module }) => module.bias,
  );
  return [
    {
      sites: new Set(copied),
      make: (targets: readonly string[]): Trained => ({ kind: 'whole', targets, copied: true }),
    },
    { sites: new Set(biased), make: (targets: readonly string[]): Trained => ({ kind: 'biases', targets }) },
  ].filter((choice) => choice.sites.size > 0);
}

/** What acts at no module in particular. */
function withoutPlace(config: MethodConfig, shape: ModelShape): readonly Trained[] {
  switch (config.type) {
    case 'full':
      return [{ kind: 'full' }];
    case 'child_tuning':
      return [{ kind: 'mask' }];
    case 'prompt_tuning':
      return [{ kind: 'virtual-tokens', count: config.num_virtual_tokens }];
    case 'prefix_tuning':
      return [
        {
          kind: 'prefix',
          count: config.num_virtual_tokens,
          ...(config.prefix_projection ? { projection: config.encoder_hidden_size ?? 'width' } : {}),
        },
      ];
    case 'adapter':
      return adaptersOf(config, shape);
    case 'ciat':
      return ciatOf(config, shape);
    case 'adapter_fusion':
      return fusionOf(config, shape);
    default:
      return [];
  }
}

/** The adapters at one task each, and at each place of theirs query, key and value. */
function fusionOf(
  config: Extract<MethodConfig, { type: 'adapter_fusion' }>,
  shape: ModelShape,
): readonly Trained[] {
  const { hidden, blocks } = shape;
  const adapters = adaptersOf({ ...config, sparsity: 0, large_sparse: false }, shape);
  // As a matrix [d, d] with a bias in place of the bottleneck: 2·d·1 + d + 1 are in it as an adapter of size 1.
  const scales = (config.value ? 3 : 2) * hidden * hidden + 2 * hidden - (3 * hidden + 1);
  const places = adapters.reduce((sum, each) => sum + (each.kind === 'adapters' ? each.perLayer : 0), 0);
  const form = bottleneckForm(config.placement, config, hidden);
  const crosses = form.cross_adapter && blocks.some((block) => block.crossAttention);
  const kinds = [form.mh_adapter, form.output_adapter, crosses].filter(Boolean).length;
  const perLayer = config.share_layers ? kinds / blocks.reduce((sum, { layers }) => sum + layers, 0) : places;
  const layers: readonly Trained[] = [{ kind: 'adapters', size: 1, perLayer, scales }];
  return config.adapters === undefined ? [...adapters, ...layers] : layers;
}

/** Two adapters in each layer, and one with a norm of its own on what each stack reads. */
function ciatOf(
  config: Extract<MethodConfig, { type: 'ciat' }>,
  { hidden, blocks }: ModelShape,
): readonly Trained[] {
  const size = config.bottleneck_size ?? Math.max(1, Math.floor(hidden / 2));
  const layers = blocks.reduce((sum, block) => sum + block.layers, 0);
  const stacks = blocks.some((block) => block.crossAttention) ? 2 : 1;
  return [
    ...(config.layer_adapters ? [{ kind: 'adapters' as const, size, perLayer: 2 }] : []),
    ...(config.embedding_adapters
      ? [{ kind: 'adapters' as const, size, perLayer: stacks / layers, scales: 2 * hidden }]
      : []),
  ];
}

type SparseSize = Pick<Extract<MethodConfig, { type: 'adapter' }>, 'sparsity' | 'large_sparse'>;

/** Bottlenecks by their size, where layers have different ones. */
function adaptersOf(
  config: BottleneckChoice & SparseSize & Pick<Extract<MethodConfig, { type: 'adapter' }>, 'placement'>,
  { hidden, blocks }: ModelShape,
): readonly Trained[] {
  const form = enlarged(bottleneckForm(config.placement, config, hidden), config);
  const scales = form.scaling === 'learned' ? 1 : form.scaling === 'channel' ? hidden : 0;
  const layers = blocks.flatMap((block) => Array.from({ length: block.layers }, () => block));
  const counts = new Map<number, number>();
  for (const [layer, block] of layers.entries()) {
    const factor = factorOf(form, layer);
    if (factor === undefined || form.leave_out.includes(layer)) continue;
    const crosses = form.cross_adapter && block.crossAttention;
    const here = [form.mh_adapter, form.output_adapter, crosses].filter(Boolean).length;
    const size = bottleneckSize(hidden, factor);
    counts.set(size, (counts.get(size) ?? 0) + here);
  }
  const adapters = [...counts].map(([size, count]): Trained => ({
    kind: 'adapters',
    size,
    perLayer: count / layers.length,
    scales,
  }));
  return config.sparsity > 0 ? [...adapters, { kind: 'mask' }] : adapters;
}

/** Puts layers at whose modules the same choices act into one block. */
function splitBlocks(
  shape: ModelShape,
  sites: readonly ShapeSite[],
  choices: readonly Choice[],
): { readonly shape: ModelShape; readonly pathOf: (site: ShapeSite) => string } {
  const paths = new Map<ShapeSite, string>();
  const blocks = shape.blocks.flatMap((block) => {
    const groups = new Map<string, number[]>();
    const inBlock = sites.filter((site) => site.block === block);
    for (let layer = 0; layer < block.layers; layer++) {
      const own = inBlock.filter((site) => site.layer === layer);
      const key = choices
        .map((choice) => own.map((site) => (choice.sites.has(site) ? '1' : '0')).join(''))
        .join('|');
      groups.set(key, [...(groups.get(key) ?? []), layer]);
    }
    return [...groups.values()].map((layers): Block => {
      const name = groups.size === 1 ? block.name : `${block.name}[${layers.join(',')}]`;
      const chosen = new Set<number | undefined>(layers);
      for (const site of inBlock) {
        if (chosen.has(site.layer)) paths.set(site, `${name}.*.${site.module.name}`);
      }
      return { ...block, name, layers: layers.length };
    });
  });
  return { shape: { ...shape, blocks }, pathOf: (site) => paths.get(site) ?? site.path };
}

function notesOf(config: MethodConfig): readonly string[] {
  switch (config.type) {
    case 'lotr':
      return [l10n.t`Hugging Face PEFT has no LoTR: planned as the authors' code runs it.`];
    case 'lisa':
      return [
        l10n.t`Hugging Face PEFT has no LISA: planned as LMFlow runs it, with gradients and optimizer of the layers that train at a time.`,
      ];
    case 'sora':
      return [l10n.t`Hugging Face PEFT has no SoRA: planned as LoRA with a gate on each component.`];
    case 'dora_rank':
      return [
        l10n.t`Hugging Face PEFT has no dora_rank: planned as LoRA of its first rank with a factor on each component.`,
      ];
    case 'dylora':
      return [l10n.t`Hugging Face PEFT has no DyLoRA: planned as LoRA of its largest rank.`];
    case 'fish_mask':
    case 'fish_dip':
    case 'pafi':
    case 'sam':
      return [
        l10n.t`Hugging Face PEFT has no ${config.type}: planned with gradients and optimizer of the chosen numbers, which want a hook that takes them out of each weight's gradient.`,
      ];
    case 'relora':
    case 'cola':
      return [
        l10n.t`Hugging Face PEFT has no ${config.type}: planned as its LoRA, merged into the weights on the way.`,
      ];
    case 'sltrain':
      return [
        l10n.t`Hugging Face PEFT has no SLTrain: planned as its LoRA, with gradients and optimizer of the numbers at the drawn places, which want a hook that takes them out of each weight's gradient.`,
      ];
    case 'melora':
    case 'mora':
      return [
        l10n.t`Hugging Face PEFT has no ${config.type}: planned as the authors' fork of it runs it, in float32.`,
      ];
    case 'lt_sft':
      return [
        l10n.t`Hugging Face PEFT has no LT-SFT: planned as its first phase, in which all targeted weights train; the second needs less.`,
      ];
    case 'bitfit':
      return [l10n.t`Hugging Face PEFT has no BitFit: planned with gradients and optimizer of the biases alone.`];
    case 'last_layers':
      return [
        l10n.t`Hugging Face PEFT does not train layers in place: planned as a model whose other parameters have requires_grad off.`,
      ];
    case 'intrinsic':
      return [
        l10n.t`Hugging Face PEFT has no training in a random subspace: planned with gradients and optimizer of ${config.intrinsic_dim} numbers; the moved copy of each weight and the projection's random numbers come on top.`,
      ];
    case 'adapter':
      return [l10n.t`Hugging Face PEFT has no bottleneck adapters: planned as the adapters library runs them.`];
    case 'adapter_fusion':
      return [l10n.t`Hugging Face PEFT has no AdapterFusion: planned as the adapters library runs it.`];
    case 'ciat':
      return [l10n.t`Hugging Face PEFT has no CIAT: planned as so many bottleneck adapters.`];
    case 'learned_mask':
      return [
        l10n.t`Hugging Face PEFT has no learned masks: planned as the authors' code runs them, with masks and masked weights kept for the backward pass.`,
      ];
    case 'galore':
      return [
        l10n.t`Hugging Face PEFT has no GaLore: planned as Transformers runs it with galore-torch, with all gradients at a time.`,
      ];
    case 'child_tuning':
      return [
        l10n.t`Hugging Face PEFT has no Child-Tuning: planned as a mask over the gradients of the methods before it.`,
      ];
    default:
      return [];
  }
}
