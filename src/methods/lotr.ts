import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { multiplied } from '../linalg/products.js';
import type { Site } from '../models/site.js';
import { add } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { variable } from '../tensor/tensor.js';
import { largeRanks } from './largeRanks.js';
import { PEFT_PREFIX, ParameterOptions, tiedWarnings, trainedParameters } from './loraParameters.js';
import { inspectLotr, lotrConfigFromPeft, lotrConfigToPeft, lotrPair } from './lotrConfig.js';
import { groupedSites } from './lotrGroups.js';
import type { SharingGroup } from './lotrGroups.js';
import { lowRankPair, mergePair, pairNorm } from './lowRankPair.js';
import type { LowRankPair } from './lowRankPair.js';
import type { AttachContext, Method, Trainable, Values } from './method.js';
import { coveredParameters, loadByKey, parameterSize, readTrained } from './parameters.js';
import { TargetOptions, matchTargets } from './targets.js';
import type { OptionProblem } from './targets.js';

/** How an outer factor may start. */
const Outer = Type.Union([Type.Literal('normal'), Type.Literal('trivial')]);

/** LoTR's options: starts and scale under the names of the authors' code (daskol/lotr), targets under HF PEFT's. */
export const LotrOptions = Type.Object(
  {
    type: Type.Literal('lotr'),
    r: Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 8,
      description: 'Rank of the update L·M·R: every module has an M [r, r] of its own.',
    }),
    scale: Type.Number({
      exclusiveMinimum: 0,
      default: 1,
      description: 'ΔW = scale / r · L·M·R.',
    }),
    share: Type.Union([Type.Literal('projection'), Type.Literal('shape')], {
      default: 'projection',
      description:
        'Which modules have L and R in common. `projection`: those of one name and shape in all layers, such as all `q_proj`; `shape`: all of one shape, such as queries and values together, as the authors do.',
    }),
    ...TargetOptions,
    left: { ...Outer, default: 'normal', description: 'How L starts: `normal` N(0, 1), or `trivial`, zero.' },
    middle: Type.Union([Type.Literal('trivial'), Type.Literal('neutral')], {
      default: 'trivial',
      description:
        'How each M starts: `trivial`, zero, or `neutral`, the unit matrix. With `left: trivial` the latter starts as the base model, too.',
    }),
    right: { ...Outer, default: 'normal', description: 'How R starts: `normal` N(0, 1), or `trivial`, zero.' },
    train_factors: Type.Boolean({
      default: true,
      description: 'Whether L and R train; `false`: only the r² numbers of each M.',
    }),
    modules_to_save: ParameterOptions.modules_to_save,
  },
  { additionalProperties: false },
);
export type LotrOptions = Static<typeof LotrOptions>;

/** One module's update: s·L·M·R. */
interface LotrUpdate {
  /** Site, rank and scale; ΔW = s·(L·M)·R is a pair B·A with these numbers. */
  readonly pair: LowRankPair;
  readonly middle: Variable;
  readonly left: Variable;
  readonly right: Variable;
}

/**
 * LoTR (Bershatsky et al. 2024): y = W x + s·L·M·R x, s = scale / r as in the authors' code, with L [out, r] and
 * R [r, in] one for all modules of a group, whose updates are the slices of a tensor of low Tucker-2 rank, and M [r, r] each
 * module's own. The gradients of L and R are sums over the modules of their group.
 *
 * With the authors' starts (L and R normal, M zero) the first step moves M alone.
 */
export const lotr: Method<typeof LotrOptions> = {
  info: {
    type: 'lotr',
    family: 'low-rank',
    place: 'shared factors',
    title: 'LoTR',
    summary: 'Learns updates L·M·R with L and R shared by the layers, and a small M in each.',
    paper: {
      authors: 'Bershatsky, Cherniuk, Daulbaev, Mikhalev & Oseledets',
      year: 2024,
      title: 'LoTR: Low Tensor Rank Weight Adaptation',
      arxiv: '2402.01376',
    },
    engines: ['embedded'],
    mergeable: true,
    options: LotrOptions,
  },
  attach(options, context) {
    checkStart(options);
    const { model, instance = '', idlePatterns } = context;
    const match = matchTargets(options, model.sites, ({ kind }) => kind === 'linear', idlePatterns);
    const groups = groupedSites(match.sites, options.share);
    const factors = new Map(groups.map((group) => [group, sharedFactors(group, options.r, instance)]));
    const updates = new Map(
      groups.flatMap((group) =>
        group.sites.map((site): [string, LotrUpdate] => [
          site.path,
          {
            pair: lowRankPair(site, options.r, options.scale / options.r, instance),
            middle: variable(`${instance}${site.path}.lotr_M`, [options.r, options.r]),
            ...factors.get(group)!,
          },
        ]),
      ),
    );
    const { trained, warnings } = trainedParameters({ ...options, bias: 'none' }, context, updates);
    const byParameter = new Map(trained.map((each) => [`${each.site.path}.${each.kind}`, each]));
    const shared = groups.flatMap((group) => startedFactors(group, factors.get(group)!, options, context));
    const own = [
      ...[...updates.values()].map(({ middle }) => startedMiddle(middle, options)),
      ...trained.map((each) => readTrained(each, context)),
    ];
    const trainables = [...shared, ...own];
    const training = new Set(own.map((each) => each.variable));
    const keyOf = (name: string): string => {
      const ownName = name.slice(instance.length);
      return byParameter.get(ownName)?.key ?? `${PEFT_PREFIX}${ownName}`;
    };
    return {
      type: 'lotr',
      hooks: {
        parameter: (site, kind, base) => byParameter.get(`${site.path}.${kind}`)?.variable ?? base,
        output(site, x, y) {
          const update = updates.get(site.path);
          return update === undefined ? y : add(y, updateOutput(update, x));
        },
      },
      trainables,
      ...(options.train_factors ? {} : { active: () => training }),
      coverage: {
        targets: match.entries,
        modules: [
          ...[...updates.values()].map(({ pair, middle }) => ({
            path: pair.site.path,
            shape: pair.site.shape,
            trainable: parameterSize(middle.shape),
          })),
          ...(options.train_factors ? groups : []).map((group) => ({
            path: sharedName(group),
            shape: group.shape,
            trainable: sharedSize(factors.get(group)!),
          })),
          ...coveredParameters(trained),
        ],
        shared: groups.map((group) => ({
          name: sharedName(group),
          paths: group.sites.map(({ path }) => path),
        })),
        layersCovered: new Set(match.sites.flatMap(({ layer }) => layer ?? [])).size,
        saves: l10n.t`adapter_model.safetensors with ${trainables.length} tensors, of them ${shared.length} shared ones, and adapter_config.json`,
        warnings: [
          ...match.warnings,
          ...warnings,
          ...nothingShared(groups, options),
          ...largeRanks(
            [...updates.values()].map(({ pair }) => pair),
            'r',
            context,
          ),
          ...tiedWarnings(model, match.sites, trained),
        ],
      },
      report: (values) =>
        [...updates.values()].map((update) => ({
          path: update.pair.site.path,
          rank: update.pair.r,
          scale: update.pair.scale,
          norm: pairNorm(update.pair, asPair(update, values)),
        })),
      merge(site, kind, base, values) {
        const whole = byParameter.get(`${site.path}.${kind}`);
        if (whole !== undefined) return values.get(whole.variable.name)!;
        const update = updates.get(site.path);
        if (update === undefined || kind === 'bias') return undefined;
        return mergePair(update.pair, base, asPair(update, values));
      },
      save: (values) => ({
        kind: 'adapter',
        config: lotrConfigToPeft(options, groups, context),
        tensors: trainables.map(({ variable: { name, shape } }) => ({
          name: keyOf(name),
          shape: shape as readonly number[],
          data: values.get(name)!,
        })),
      }),
      load: (tensors, source) => loadByKey(trainables, keyOf, tensors, source),
    };
  },
  peft: { type: 'LOTR', options: lotrConfigFromPeft, inspect: inspectLotr, pair: lotrPair },
};

type Factors = Pick<LotrUpdate, 'left' | 'right'>;

function sharedFactors(
  { name, shape: [outSize, inSize] }: SharingGroup<Site>,
  r: number,
  instance: string,
): Factors {
  return {
    left: variable(`${instance}${name}.lotr_L`, [outSize, r]),
    right: variable(`${instance}${name}.lotr_R`, [r, inSize]),
  };
}

/** What L and R of a group are called beside the modules. */
function sharedName({ name }: SharingGroup<Site>): string {
  return `${name} (L, R)`;
}

function sharedSize({ left, right }: Factors): number {
  return parameterSize(left.shape) + parameterSize(right.shape);
}

function startedFactors(
  { name }: SharingGroup<Site>,
  { left, right }: Factors,
  options: LotrOptions,
  context: AttachContext,
): Trainable[] {
  const started = (which: 'left' | 'right', own: Variable): Trainable => ({
    variable: own,
    start() {
      const values = new Float32Array(parameterSize(own.shape));
      if (options[which] === 'trivial') return values;
      const random = context.random('lotr', name, which);
      for (let at = 0; at < values.length; at++) values[at] = random.normal();
      return values;
    },
    decays: options.train_factors,
    ...(options.train_factors ? {} : { readAtRest: true as const }),
  });
  return [started('left', left), started('right', right)];
}

function startedMiddle(middle: Variable, options: LotrOptions): Trainable {
  return {
    variable: middle,
    start() {
      const r = options.r;
      const values = new Float32Array(r * r);
      if (options.middle === 'neutral') for (let at = 0; at < r; at++) values[at * r + at] = 1;
      return values;
    },
    decays: true,
  };
}

/** s·L·M·R·x: x [..., in] → [..., out] */
function updateOutput({ left, middle, right, pair }: LotrUpdate, x: Tensor): Tensor {
  const inner = matmul(matmul(x, right, { transposeB: true }), middle, { transposeB: true });
  return matmul(inner, left, { transposeB: true, alpha: pair.scale });
}

/** Values of the pair B·A: B = L·M and A = R. */
function asPair({ pair: { a, b, r }, left, middle, right }: LotrUpdate, values: Values): Values {
  const numbers = (of: Variable): Float64Array => Float64Array.from(values.get(of.name)!);
  const product = multiplied(numbers(left), numbers(middle), parameterSize(left.shape) / r, r);
  return new Map([
    [a.name, values.get(right.name)!],
    [b.name, Float32Array.from(product)],
  ]);
}

/** Two factors that start at zero stay there: each gets a product with the other as its gradient. @throws ProblemError `lotr.start` */
function checkStart({ left, middle, right, train_factors: trains }: LotrOptions): void {
  const zeros = [
    ...(left === 'trivial' ? ['left'] : []),
    ...(middle === 'trivial' ? ['middle'] : []),
    ...(right === 'trivial' ? ['right'] : []),
  ];
  const problem = (message: string, mend: string): OptionProblem => ({
    code: 'lotr.start',
    message,
    mend,
    option: [zeros[0]!],
  });
  if (zeros.length > 1) {
    fail(
      problem(
        l10n.t`${zeros.join(', ')} start at zero: nothing would get a gradient`,
        l10n.t`Leave one of them trivial, so that the start is the base model, and start the others normal or neutral.`,
      ),
    );
  }
  if (!trains && zeros.some((name) => name !== 'middle')) {
    fail(
      problem(
        l10n.t`${zeros[0]!} is zero and does not train (train_factors: false): the update would stay zero`,
        l10n.t`Let M start at zero instead: middle: trivial.`,
      ),
    );
  }
}

function nothingShared(groups: readonly SharingGroup<Site>[], { share }: LotrOptions): OptionProblem[] {
  if (groups.some(({ sites }) => sites.length > 1)) return [];
  return [
    {
      code: 'lotr.nothing-shared',
      severity: 'warning',
      message: l10n.t`no two modules share L and R: each has its own, and more numbers than LoRA of the same rank`,
      mend:
        share === 'shape'
          ? l10n.t`Target modules of one shape in several layers.`
          : l10n.t`Target a projection in several layers, or set share: shape.`,
      option: ['share'],
    },
  ];
}
