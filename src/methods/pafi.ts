import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import type { MethodInfo } from './info.js';
import { smallestMagnitudes } from './largest.js';
import type { Method } from './method.js';
import { attachDeltas } from './sparseDelta.js';
import { sparseConfig, sparseFormat } from './sparseDeltaConfig.js';
import { keepRatio, keptCount, preparedPlaces, sparseTargets } from './sparsePlaces.js';
import { TargetOptions } from './targets.js';

/** PaFi's options. Its authors published no code; the share is the one that FISH Mask is usually compared at. */
export const PaFiOptions = Type.Object(
  {
    type: Type.Literal('pafi'),
    keep_ratio: keepRatio(0.005),
    ...TargetOptions,
  },
  { additionalProperties: false },
);
export type PaFiOptions = Static<typeof PaFiOptions>;

const INFO: MethodInfo<typeof PaFiOptions> = {
  type: 'pafi',
  family: 'selective',
  place: 'rule-based',
  title: 'PaFi',
  summary: 'Trains the smallest numbers of the weights: a mask without data, the same for every task.',
  paper: {
    authors: 'Liao, Meng & Monz',
    year: 2023,
    title: 'Parameter-Efficient Fine-Tuning without Introducing New Latency',
    arxiv: '2305.16742',
  },
  engines: ['embedded'],
  mergeable: true,
  options: PaFiOptions,
};

const PEFT_TYPE = 'PAFI';

/**
 * PaFi (Liao, Meng & Monz 2023): the pre-trained numbers with the smallest |θ| train, the others stay. The mask is taken
 * once, from the weights alone, so that all tasks over one base model share it. The threshold is one for all targeted
 * weights; of equal magnitudes, of which a checkpoint in BF16 has many, the first are chosen. See `attachDeltas` for what
 * trains.
 */
export const pafi: Method<typeof PaFiOptions> = {
  info: INFO,
  async prepare(options, context) {
    const targets = sparseTargets(INFO.type, options, context);
    const reads = [...targets.weights.keys()].map((name) => () => context.read(name));
    return preparedPlaces(targets, await smallestMagnitudes(reads, keptCount(options.keep_ratio, targets)));
  },
  check: (options, context) => void keptCount(options.keep_ratio, sparseTargets(INFO.type, options, context)),
  attach: (options, context) =>
    attachDeltas(options, context, { ...INFO, config: sparseConfig(PEFT_TYPE, options, context) }),
  peft: sparseFormat(PEFT_TYPE, INFO),
};
