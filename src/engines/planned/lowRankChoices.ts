import { usedCount } from '../../memory/modelShape.js';
import type { Trained } from '../../memory/trained.js';
import { startRank } from '../../methods/doraRank.js';
import { factorShapes } from '../../methods/lokr.js';
import { groupedSites } from '../../methods/lotrGroups.js';
import { takesPair } from '../../methods/lowRankPair.js';
import type { MethodConfig } from '../../methods/registry.js';
import { squareSize } from '../../methods/squareMatrix.js';
import { matchTargets, patternValue } from '../../methods/targets.js';
import { besidePairs } from './besidePairs.js';
import { grouped } from './shapeSites.js';
import type { Choice, ShapeSite } from './shapeSites.js';

/** Methods whose update of a matrix is made of smaller ones. */
export type LowRankConfig = Extract<
  MethodConfig,
  {
    type:
      | 'lora'
      | 'relora'
      | 'cola'
      | 'adalora'
      | 'lotr'
      | 'lokr'
      | 'melora'
      | 'mora'
      | 'sora'
      | 'dora_rank'
      | 'dylora'
      | 'sltrain';
  }
>;

/** What low-rank methods train at each module. */
export function lowRankChoices(config: LowRankConfig, sites: readonly ShapeSite[]): readonly Choice[] {
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
  }
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
