import { fail } from '../common/problem.js';
import { ATTENTIONS, QUANTIZATIONS, SHARDINGS, TORCH_DTYPES, TORCH_OPTIMIZERS } from '../engines/plannedRun.js';
import type { TorchOptions } from '../engines/plannedRun.js';
import type { Arguments } from './arguments.js';
import type { Option } from './command.js';

const names = <Name extends string>(table: Readonly<Record<Name, unknown>>): readonly Name[] =>
  Object.keys(table) as Name[];

const DTYPES = names(TORCH_DTYPES);
const PACKINGS = names(QUANTIZATIONS);
const OPTIMIZERS = names(TORCH_OPTIMIZERS);
export const ENGINES = ['embedded', 'huggingface'] as const;
export type EngineName = (typeof ENGINES)[number];

/** Options of the run file that are asked about most, and what of it they set. */
export const RUN_OPTIONS: Readonly<Record<string, Option & { readonly sets: string }>> = {
  method: {
    value: 'TYPE',
    sets: 'method',
    help: 'The method, with its defaults. Of a model without a file: lora.',
  },
  r: { value: 'N', sets: 'method.0.r', help: 'Rank of the method.' },
  'target-modules': {
    value: 'NAMES',
    sets: 'method.0.target_modules',
    help: "Modules to adapt, as in a run file: all-linear, '[q_proj, v_proj]' or an expression.",
  },
  batch: { value: 'N', sets: 'training.per_device_train_batch_size', help: 'Rows in one pass.' },
  length: { value: 'N', sets: 'data.max_length', help: 'Tokens of the longest row.' },
  accumulation: {
    value: 'N',
    sets: 'training.gradient_accumulation_steps',
    help: 'Passes whose gradients are summed before a step.',
  },
  set: { value: 'KEY=VALUE', multiple: true, sets: '', help: 'Any other option of the file, as for train.' },
};

/** Options of Transformers, PEFT and Accelerate; one of them asks for the engine huggingface. */
export const TORCH_OPTIONS: Readonly<Record<string, Option>> = {
  dtype: {
    value: 'TYPE',
    help: `huggingface: ${DTYPES.join(', ')}. Default: what the model's config says, else float32.`,
  },
  quantization: { value: 'KIND', help: `huggingface: ${PACKINGS.join(', ')}, by bitsandbytes.` },
  'gradient-checkpointing': { help: 'huggingface: keep only the inputs of layers, and compute them again.' },
  attention: { value: 'KIND', help: `huggingface: ${ATTENTIONS.join(', ')}. Default: sdpa.` },
  optim: { value: 'NAME', help: `huggingface: ${OPTIMIZERS.join(', ')}. Default: the file's.` },
  devices: { value: 'N', help: 'huggingface: how many GPUs; the estimate is of one of them.' },
  sharding: {
    value: 'KIND',
    help: `huggingface: what they share: ${SHARDINGS.join(', ')}. Default: data-parallel, nothing.`,
  },
};

/** The run file's options that the arguments set, as `train --set` takes them; those of `--set` come last. */
export function overridesOf(args: Arguments): readonly string[] {
  const short = Object.entries(RUN_OPTIONS).flatMap(([name, { sets }]) => {
    const value = sets === '' ? undefined : args.text(name);
    if (value === undefined) return [];
    return [name === 'method' ? `method={type: ${JSON.stringify(value)}}` : `${sets}=${value}`];
  });
  return [...short, ...args.all('set')];
}

/**
 * The engine that is asked for, by name or by an option that only it has; undefined where none is.
 * @throws ProblemError `cli.option-value`, `cli.option-engine`
 */
export function askedEngine(args: Arguments): EngineName | undefined {
  const engine = choice(args, 'engine', ENGINES);
  const own = Object.entries(TORCH_OPTIONS).find(([name, { value }]) =>
    value === undefined ? args.flag(name) : args.text(name) !== undefined,
  );
  if (own === undefined) return engine;
  if (engine !== 'embedded') return 'huggingface';
  return fail({
    code: 'cli.option-engine',
    message: `--${own[0]} is an option of the engine huggingface, and the engine asked for is embedded`,
    mend: `Leave --${own[0]} or --engine out.`,
  });
}

/**
 * What the arguments say of a run on Transformers.
 * @param dtype the type of the model's weights, as its config names it
 * @throws ProblemError `cli.option-value`, `cli.option-missing`
 */
export function torchOptions(args: Arguments, dtype: string | undefined): TorchOptions {
  const quantization = choice(args, 'quantization', PACKINGS);
  const attention = choice(args, 'attention', ATTENTIONS);
  const optim = choice(args, 'optim', OPTIMIZERS);
  const sharding = shardingOf(args);
  return {
    dtype: choice(args, 'dtype', DTYPES) ?? DTYPES.find((each) => each === dtype) ?? 'float32',
    checkpointing: args.flag('gradient-checkpointing'),
    ...(quantization === undefined ? {} : { quantization }),
    ...(attention === undefined ? {} : { attention }),
    ...(optim === undefined ? {} : { optim }),
    ...(sharding === undefined ? {} : { sharding }),
  };
}

function shardingOf(args: Arguments): TorchOptions['sharding'] {
  const kind = choice(args, 'sharding', SHARDINGS);
  const devices = args.number('devices');
  if (devices === undefined) {
    if (kind === undefined) return undefined;
    return fail({
      code: 'cli.option-missing',
      message: `--sharding ${kind} shares among devices, and how many there are is not said`,
      expected: '--devices N',
    });
  }
  if (!Number.isSafeInteger(devices) || devices < 1) {
    fail({
      code: 'cli.option-value',
      message: `--devices is "${args.text('devices')}"`,
      expected: 'a whole number from 1',
    });
  }
  if (devices === 1 && kind === undefined) return undefined;
  return { kind: kind ?? 'data-parallel', devices };
}

const UNITS: Readonly<Record<string, number>> = { gb: 1e9, gib: 2 ** 30, mb: 1e6, mib: 2 ** 20 };

/** `--limit` in bytes; undefined where it is not given. @throws ProblemError `cli.option-value` */
export function limitOf(args: Arguments): number | undefined {
  return sizeOf(args, 'limit');
}

/**
 * An option that is a size, in bytes; undefined where it is not given.
 * @throws ProblemError `cli.option-value`
 */
export function sizeOf(args: Arguments, name: string): number | undefined {
  const text = args.text(name);
  if (text === undefined) return undefined;
  const [, number, unit] = /^\s*(\d+(?:\.\d+)?)\s*([gm]i?b)\s*$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (UNITS[unit?.toLowerCase() ?? ''] ?? NaN));
  if (bytes > 0) return bytes;
  return fail({
    code: 'cli.option-value',
    message: `--${name} is "${text}"`,
    expected: 'a number with its unit: 24GB (of 10⁹ bytes), 24GiB (of 2³⁰), 800MB, 800MiB',
  });
}

function choice<Name extends string>(args: Arguments, name: string, known: readonly Name[]): Name | undefined {
  const text = args.text(name);
  if (text === undefined) return undefined;
  return (
    known.find((each) => each === text) ??
    fail({
      code: 'cli.option-value',
      message: `--${name} is "${text}"`,
      expected: `one of ${known.join(', ')}`,
    })
  );
}
