import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import * as l10n from '@vscode/l10n';
import { formatCount } from '../common/format.js';
import type { JsonObject } from '../common/json.js';
import { LoraOptions, lora, pairsOf } from './lora.js';
import { peftKey } from './loraParameters.js';
import type { LowRankPair } from './lowRankPair.js';
import {
  mergeUpdate,
  mergedBeside,
  mergedNumbers,
  mergedOutput,
  mergedTensors,
  savedSize,
  updateAsPair,
  updateNorm,
  wholeUpdate,
} from './mergedUpdates.js';
import type { Merged, WholeUpdate } from './mergedUpdates.js';
import type {
  AttachContext,
  Attached,
  Prepared,
  SavedMethod,
  StepPlace,
  Turn,
  TurnView,
  Values,
} from './method.js';

const { bias, rank_pattern, alpha_pattern, modules_to_save, use_rslora, ...others } = LoraOptions.properties;
const { target_modules, exclude_modules, layers_to_transform, layers_pattern } = others;

/** Options of LoRA that is merged and started anew, beside r, lora_alpha and lora_dropout. */
export const RestartedOptions = {
  bias,
  target_modules,
  exclude_modules,
  layers_to_transform,
  layers_pattern,
  rank_pattern,
  alpha_pattern,
  modules_to_save,
  use_rslora,
};

const Choice = Type.Object({
  r: LoraOptions.properties.r,
  lora_alpha: LoraOptions.properties.lora_alpha,
  lora_dropout: LoraOptions.properties.lora_dropout,
  ...RestartedOptions,
});
type Choice = Static<typeof Choice>;

/** A part of a run in which one pair per module trains; then it is merged. */
export interface Cycle {
  /** Steps of the run that were taken before it, and when it is over. */
  readonly started: number;
  readonly ends: number;
}

/** What tells one method that merges and starts anew from another. */
export interface Restarts {
  readonly type: string;
  /** The cycle that a step belongs to. */
  cycleAt(at: StepPlace): Cycle;
  learningRate: NonNullable<Attached['learningRate']>;
  /** Whether the optimizer begins anew with each cycle. */
  readonly optimizerAnew: boolean;
  /** What becomes of an optimizer slot of A or B at a merge, where the optimizer goes on. */
  slotAfter?(slot: string, numbers: Float32Array, at: StepPlace): Float32Array;
}

/** How often was merged before, and the step at which the present cycle began. */
const MERGES = '#merges';
const STARTED = '#started';

/** What a run after so many merges is attached with; the merged numbers are among its values. */
export function afterMerges(merges: number, started = 0): Prepared {
  return new Map([
    [MERGES, Int32Array.of(merges)],
    [STARTED, Int32Array.of(started)],
  ]);
}

/**
 * LoRA that is merged at the end of each cycle and starts anew, with A drawn again and B zero, so that the function stays
 * what it is: y = W x + M x + s·B·A·dropout(x), with M = Σ s·Bⱼ·Aⱼ of the cycles before (see `mergedUpdates.ts`). What
 * else trains, biases and whole modules, goes on.
 *
 * The result is a plain LoRA of all cycles' ranks together.
 */
export function restartedLora(options: Choice, context: AttachContext, restarts: Restarts): Attached {
  const { prepared, ...bare } = context;
  const { instance = '' } = context;
  const merges = prepared?.get(MERGES)?.[0] ?? 0;
  const started = prepared?.get(STARTED)?.[0] ?? 0;
  const own = loraOptions(options);
  const inner = lora.attach(own, {
    ...bare,
    // A pair is another in each cycle.
    random: (...stream) => context.random(...(merges === 0 ? [] : ['cycle', merges]), ...stream),
  });
  const { pairs } = pairsOf(own, bare);
  const mergedAfter = (count: number): Map<string, Merged> =>
    new Map(
      [...pairs].flatMap(([path, pair]) => {
        const merged = mergedBeside(pair, count, instance);
        return merged === undefined ? [] : [[path, merged] as const];
      }),
    );
  const merged = mergedAfter(merges);
  const wholeOf = (pair: LowRankPair, values: Values): WholeUpdate =>
    wholeUpdate(pair, merged.get(pair.site.path), values);
  const resting = [...merged.values()].flatMap(mergedTensors);
  const training = new Set(inner.trainables.map(({ variable }) => variable));
  const inPairs = new Set([...pairs.values()].flatMap(({ a, b }) => [a.name, b.name]));
  return {
    ...inner,
    type: restarts.type,
    hooks: {
      ...inner.hooks,
      output: (site, x, y, phase, parameter) => {
        const before = merged.get(site.path);
        const from = before === undefined ? y : mergedOutput(before, x, y, context.random('merged', site.path));
        return inner.hooks.output!(site, x, from, phase, parameter);
      },
    },
    trainables: [...inner.trainables, ...resting],
    ...(resting.length === 0 ? {} : { active: () => training }),
    turnsAfter: (at) => at.step === restarts.cycleAt(at).ends && at.step < at.totalSteps,
    turn: (now) => Promise.resolve(turn(now)),
    learningRate: (at, schedule) => restarts.learningRate(at, schedule),
    ...(restarts.optimizerAnew ? { startedAfter: (each) => (training.has(each) ? started : 0) } : {}),
    report: (values) =>
      [...pairs.values()].map((pair) => {
        const whole = wholeOf(pair, values);
        return {
          path: pair.site.path,
          rank: Math.min((merges + 1) * pair.r, ...pair.site.shape),
          scale: pair.scale,
          norm: updateNorm(whole, pair),
        };
      }),
    merge(site, kind, base, values) {
      const pair = pairs.get(site.path);
      return pair === undefined || kind === 'bias'
        ? inner.merge!(site, kind, base, values)
        : mergeUpdate(wholeOf(pair, values), pair, base);
    },
    save: (values) => saved(inner.save(values), [...pairs.values()], (pair) => wholeOf(pair, values)),
  };

  function turn({ at, values, slots }: TurnView): Turn {
    const next = mergedAfter(merges + 1);
    const numbers = [...pairs].flatMap(([path, pair]) =>
      mergedNumbers(wholeOf(pair, values), next.get(path)!, pair),
    );
    const goesOn = [...training].map(({ name }) => name).filter((name) => !inPairs.has(name));
    const size = numbers.reduce((sum, [, { length }]) => sum + length, 0);
    return {
      prepared: afterMerges(merges + 1, at.step),
      values: new Map([...numbers, ...goesOn.map((name) => [name, values.get(name)!] as const)]),
      ...(restarts.optimizerAnew ? {} : { slots: slotsAfter(slots, at) }),
      says: l10n.t`After step ${at.step}, ${restarts.type} merged its update number ${merges + 1} and starts anew: ${formatCount(size)} merged numbers lie beside the weights.`,
    };
  }

  /** Slots of what trains: those of A and B as the method leaves them, others as they are. */
  function slotsAfter(slots: TurnView['slots'], at: StepPlace): Map<string, Float32Array> {
    const names = new Set([...training].map(({ name }) => name));
    return new Map(
      [...slots].flatMap(([slot, numbers]) => {
        const trainable = slot.slice(0, slot.lastIndexOf('/'));
        if (!names.has(trainable)) return [];
        const kept = inPairs.has(trainable) ? (restarts.slotAfter?.(slot, numbers, at) ?? numbers) : numbers;
        return [[slot, kept] as const];
      }),
    );
  }
}

/** Numbers of the adapter of a run that merged so often, beside what trains other than A and B. */
export function savedPairs(options: Choice, context: AttachContext, merges: number): number {
  const { pairs } = pairsOf(loraOptions(options), context);
  return [...pairs.values()].reduce((sum, pair) => sum + savedSize(pair, merges), 0);
}

/** Plain LoRA's options, the others at their defaults. */
function loraOptions(options: Choice): LoraOptions {
  const own = Object.entries(options).filter(([key]) => key in Choice.properties);
  return Value.Parse(LoraOptions, { ...Object.fromEntries(own), type: 'lora' });
}

/** A LoRA's files, with everything that was learned in the place of the last pairs. */
function saved(
  last: SavedMethod,
  pairs: readonly LowRankPair[],
  wholeOf: (pair: LowRankPair) => WholeUpdate,
): SavedMethod {
  if (last.kind !== 'adapter') throw new Error('a LoRA is saved as an adapter');
  const whole = pairs.map((pair) => ({ pair, ...updateAsPair(wholeOf(pair), pair) }));
  const factors = new Map(
    whole.flatMap(({ pair, a, b, r }) => [
      [keyOf(pair, 'A'), { shape: [r, a.length / r], data: a }] as const,
      [keyOf(pair, 'B'), { shape: [b.length / r, r], data: b }] as const,
    ]),
  );
  return {
    ...last,
    config: { ...last.config, ...ranks(whole) },
    tensors: last.tensors.map((tensor) => ({ ...tensor, ...factors.get(tensor.name) })),
  };
}

function keyOf({ site }: LowRankPair, which: 'A' | 'B'): string {
  return peftKey(`${site.path}.lora_${site.kind === 'embedding' ? 'embedding_' : ''}${which}`);
}

/** PEFT's options that give each module its rank and scale: those of the first, and what differs by the module's path. */
function ranks(
  whole: readonly { readonly pair: LowRankPair; readonly r: number; readonly scale: number }[],
): JsonObject {
  const [first] = whole;
  const { r, scale } = first!;
  const differs = whole.filter((each) => each.r !== r || each.scale !== scale);
  return {
    r,
    lora_alpha: scale * r,
    use_rslora: false,
    rank_pattern: Object.fromEntries(differs.map((each) => [each.pair.site.path, each.r])),
    alpha_pattern: Object.fromEntries(differs.map((each) => [each.pair.site.path, each.scale * each.r])),
  };
}
