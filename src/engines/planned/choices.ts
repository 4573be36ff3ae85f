import type { Block, ModelShape } from '../../memory/modelShape.js';
import { bottleneckForm } from '../../methods/adapterOptions.js';
import { biasedSites } from '../../methods/bitfit.js';
import { largestRatio } from '../../methods/fishDip.js';
import { readsScaled, scaledModules } from '../../methods/ia3.js';
import { firstTrained } from '../../methods/lastLayers.js';
import type { MethodConfig } from '../../methods/registry.js';
import { matchTargets } from '../../methods/targets.js';
import type { Trained } from '../../memory/trained.js';
import { besidePairs } from './besidePairs.js';
import { lowRankChoices } from './lowRankChoices.js';
import { valuesOf } from './shapeSites.js';
import type { Choice, ShapeSite } from './shapeSites.js';

/** From which sides of a matrix GaLore projects. */
const PROJECTED_SIDES = {
  std: 'shorter',
  reverse_std: 'longer',
  left: 'left',
  right: 'right',
  full: 'both',
} as const;

/** What a method trains, and at which modules. */
export function choicesOf(
  config: MethodConfig,
  shape: ModelShape,
  sites: readonly ShapeSite[],
): readonly Choice[] {
  switch (config.type) {
    case 'lora':
    case 'relora':
    case 'cola':
    case 'adalora':
    case 'lotr':
    case 'lokr':
    case 'melora':
    case 'mora':
    case 'sora':
    case 'dora_rank':
    case 'dylora':
    case 'sltrain':
      return lowRankChoices(config, sites);
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
