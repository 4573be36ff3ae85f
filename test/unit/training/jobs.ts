import { Value } from '@sinclair/typebox/value';
import { random } from '../../../src/common/random.js';
import { TrainingOptions } from '../../../src/config/schema.js';
import type { Example } from '../../../src/data/example.js';
import { attachMethods } from '../../../src/engines/session.js';
import { LoraOptions } from '../../../src/methods/lora.js';
import type { Attached } from '../../../src/methods/method.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import type { Program, Runtime, Value as Numbers } from '../../../src/runtime/runtime.js';
import type { RunEvent } from '../../../src/training/events.js';
import type { TrainingJob, TrainingResult } from '../../../src/training/job.js';
import { train } from '../../../src/training/train.js';
import type { Opened } from '../../support/model.js';

export function trainingOptions(options: Partial<TrainingOptions> = {}): TrainingOptions {
  return Value.Parse(TrainingOptions, options);
}

export function loraMethod(options: Partial<LoraOptions> = {}): MethodConfig {
  return Value.Parse(LoraOptions, { type: 'lora', ...options });
}

/** A row of random tokens below 128 whose last `supervised` ones count. */
export function example(length: number, supervised: number, seed = 0): Example {
  const generator = random(seed, 'example', length, supervised);
  return {
    ids: Array.from({ length }, () => generator.integer(128)),
    supervised: Array.from({ length }, (_, at) => (at >= length - supervised ? 1 : 0)),
    file: 'rows.jsonl',
    line: seed + 1,
  };
}

/** Eight rows with very different numbers of supervised tokens. */
export const UNEVEN: readonly Example[] = [
  [4, 1],
  [30, 24],
  [9, 2],
  [17, 1],
  [6, 5],
  [22, 20],
  [3, 1],
  [12, 3],
].map(([length, supervised], at) => example(length!, supervised!, at));

export type JobParts = Partial<Omit<TrainingJob, 'options'>> & {
  readonly options?: Partial<TrainingOptions>;
  readonly method?: MethodConfig;
};

export function jobOn(opened: Opened, parts: JobParts = {}): TrainingJob {
  const { options, method, ...rest } = parts;
  // The seed of the run is that of everything random.
  const context = {
    ...opened.context,
    random: (...stream: (string | number)[]) => random(options?.seed ?? 42, ...stream),
  };
  const attach = (prepared?: Parameters<typeof attachMethods>[2]): Attached[] =>
    attachMethods([method ?? loraMethod({ r: 4 })], context, prepared);
  return {
    ...opened,
    methods: attach(),
    attaching: {
      prepared: [],
      attach,
      covered: (methods) => ({
        type: 'log',
        level: 'info',
        message: `attached ${methods.map(({ type }) => type).join()}`,
      }),
    },
    train: UNEVEN,
    validation: [],
    options: trainingOptions(options),
    packing: false,
    maxLength: 64,
    emit: () => undefined,
    stopRequested: () => false,
    ...rest,
  };
}

/** Runs a job and keeps its events. */
export async function run(opened: Opened, parts: JobParts = {}): Promise<TrainingResult & { events: RunEvent[] }> {
  const events: RunEvent[] = [];
  const result = await train(
    jobOn(opened, {
      ...parts,
      emit: (event) => {
        events.push(event);
        parts.emit?.(event);
      },
    }),
  );
  return { ...result, events };
}

export function eventsOf<T extends RunEvent['type']>(
  events: readonly RunEvent[],
  type: T,
): Extract<RunEvent, { type: T }>[] {
  return events.filter((event): event is Extract<RunEvent, { type: T }> => event.type === type);
}

/** A runtime that computes nothing but notes what it is fed: every loss and norm is 1, every prediction right. */
export function recordingRuntime(onRun: (feeds: Readonly<Record<string, Numbers>>) => void): Runtime {
  const one = (): Numbers => ({ dtype: 'float32', shape: [], data: Float32Array.of(1) });
  const program: Program = {
    reads: new Set<string>(),
    weightBytes: 0,
    run: (feeds) => {
      onRun(feeds);
      const predicted = feeds['targets']?.shape ?? [];
      return Promise.resolve({
        loss: one(),
        gradient_norm: one(),
        correct: { dtype: 'bool' as const, shape: predicted, data: new Uint8Array(predicted[0] ?? 0).fill(1) },
      });
    },
    dispose: () => Promise.resolve(),
  };
  return {
    name: 'recording',
    compile: () => Promise.resolve(program),
    compileTogether: (programs) => Promise.resolve(programs.map(() => program)),
  };
}
