import { ProblemError, fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { ParsedRunFile } from '../config/parseRunFile.js';
import type { MethodConfig } from '../config/schema.js';
import type { ConfigPath } from '../config/tree.js';
import { optionOf } from '../methods/targets.js';

/** Where a key or value of a run file stands. */
export type PlaceOf = ParsedRunFile['placeOf'];

/** The options that problems are about which do not say so themselves. */
const OPTIONS: Readonly<Record<string, string>> = {
  'targets.nothing': 'target_modules',
  'targets.regex': 'target_modules',
  'targets.regex-time': 'target_modules',
  'targets.layers': 'lisa_activated_layers',
  'lora.twice': 'modules_to_save',
  'lora.tied': 'target_modules',
  'lora.no-bias': 'bias',
  'adalora.rank': 'target_r',
  'prompt-tuning.positions': 'num_virtual_tokens',
  'prompt-tuning.text': 'prompt_tuning_init',
  'prompt-tuning.labels': 'prompt_tuning_init',
  'ia3.modules': 'target_modules',
  'prefix-tuning.positions': 'num_virtual_tokens',
  'prefix-tuning.width-unused': 'encoder_hidden_size',
  'sparse-delta.shared': 'target_modules',
  'intrinsic.dimension': 'intrinsic_dim',
  'intrinsic.dimension-large': 'intrinsic_dim',
  'intrinsic.shared': 'target_modules',
  'sparse-delta.nothing': 'keep_ratio',
  'lt-sft.nothing': 'ft_params_proportion',
  'relora.schedule': 'relora',
  'relora.warmup': 'restart_warmup_steps',
  'cola.schedule': 'chain_length',
};

/** Where in a run file a problem of one of its methods belongs: at an option, else at the method's type. */
export function methodPath(
  problem: Problem,
  index: number,
  config: MethodConfig,
): { readonly path: ConfigPath; readonly part: 'key' | 'value' } {
  const own = optionOf(problem);
  const named = OPTIONS[problem.code];
  const option = own ?? (named !== undefined && named in config ? [named] : ['type']);
  const isKey = option[0] === 'rank_pattern' || option[0] === 'alpha_pattern';
  return { path: ['method', index, ...option], part: isKey ? 'key' : 'value' };
}

/** A method's problem with its place in the run file, where that is known; one that has a place keeps it. */
export function placedProblem(
  problem: Problem,
  index: number,
  config: MethodConfig,
  placeOf: PlaceOf | undefined,
): Problem {
  if (problem.where !== undefined || placeOf === undefined) return problem;
  const { path, part } = methodPath(problem, index, config);
  return { ...problem, where: placeOf(path, part) };
}

/** Work on one of a run file's methods: what it refuses is thrown with its place there, where that is known. */
export function inMethod<T>(index: number, config: MethodConfig, placeOf: PlaceOf | undefined, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof ProblemError) || placeOf === undefined) throw error;
    return fail(placedProblem(error.problem, index, config, placeOf), error);
  }
}
