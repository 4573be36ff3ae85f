import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import type { Draft, PlaceOf } from './crossChecks.js';
import { OPTIMIZER_KEYS } from './optimizerOptions.js';
import { SCHEDULE_KEYS } from './scheduleOptions.js';
import type { ScheduleKey } from './scheduleOptions.js';
import { TrainingOptions } from './schema.js';
import { choiceWords } from './shape.js';

type Key = keyof TrainingOptions;

/** What each option of `training` allows but the options together do not. */
export function trainingProblems(training: TrainingOptions, data: Draft['data'], placeOf: PlaceOf): Problem[] {
  return [
    ...warmupProblems(training, placeOf),
    ...scheduleProblems(training, placeOf),
    ...optimizerProblems(training, placeOf),
    ...unreadProblems(training, placeOf),
    ...(data === undefined ? [] : evaluationProblems(training, data, placeOf)),
  ];
}

function warmupProblems(training: TrainingOptions, placeOf: PlaceOf): Problem[] {
  const { warmup_steps, warmup_ratio, max_steps } = training;
  if (warmup_steps > 0 && warmup_ratio > 0) {
    return [
      {
        code: 'config.two-warmups',
        message: l10n.t`\`training.warmup_steps\` and \`training.warmup_ratio\` are both given`,
        where: placeOf(['training', 'warmup_ratio']),
        mend: l10n.t`Keep one of them.`,
      },
    ];
  }
  const key = warmup_steps > 0 ? 'warmup_steps' : 'warmup_ratio';
  if (training[key] > 0 && training.lr_scheduler_type === 'constant') {
    return [
      {
        code: 'config.no-warmup',
        message: l10n.t`\`training.${key}\` asks for a warm-up, and the schedule \`constant\` has none`,
        where: placeOf(['training', key], 'key'),
        mend: l10n.t`Set \`lr_scheduler_type: constant_with_warmup\`, or remove the warm-up.`,
      },
    ];
  }
  if (max_steps !== undefined && warmup_steps >= max_steps) {
    return [
      {
        code: 'config.endless-warmup',
        severity: 'warning',
        message: l10n.t`the warm-up takes ${warmup_steps} steps and the run ends after ${max_steps}: the learning rate never reaches its full value`,
        where: placeOf(['training', 'warmup_steps']),
        mend: l10n.t`Make \`warmup_steps\` smaller or \`max_steps\` larger.`,
      },
    ];
  }
  return [];
}

function scheduleProblems(training: TrainingOptions, placeOf: PlaceOf): Problem[] {
  const { lr_scheduler_type: type, lr_scheduler_kwargs: given = {}, learning_rate: highest } = training;
  const read = SCHEDULE_KEYS[type];
  const at = (key: ScheduleKey, part: 'key' | 'value' = 'value') =>
    placeOf(['training', 'lr_scheduler_kwargs', key], part);
  const unread = (Object.keys(given) as ScheduleKey[])
    .filter((key) => !read.includes(key))
    .map((key): Problem => {
      const readers = Object.entries(SCHEDULE_KEYS).filter(([, keys]) => keys.includes(key));
      return {
        code: 'config.unread-schedule-key',
        message: l10n.t`the schedule \`${type}\` does not read \`${key}\``,
        where: at(key, 'key'),
        expected: read.length === 0 ? l10n.t`no keys with \`${type}\`` : choiceWords(read),
        mend: l10n.t`Remove the key, or set \`lr_scheduler_type\` to ${choiceWords(readers.map(([name]) => name))}.`,
      };
    });
  const aboveHighest = (['lr_end', 'min_lr'] as const)
    .filter((key) => read.includes(key) && (given[key] ?? 0) >= highest)
    .map((key): Problem => ({
      code: 'config.out-of-range',
      message: l10n.t`\`${key}\` is ${String(given[key])}, and \`learning_rate\` ${highest}: the schedule would not fall`,
      where: at(key),
      expected: l10n.t`a number below ${highest}`,
    }));
  const cycles = given.num_cycles ?? 1;
  if (type === 'cosine_with_restarts' && !Number.isInteger(cycles)) {
    unread.push({
      code: 'config.out-of-range',
      message: l10n.t`\`num_cycles\` is ${cycles}`,
      where: at('num_cycles'),
      expected: l10n.t`a whole number of falls with \`cosine_with_restarts\``,
    });
  }
  return [...unread, ...aboveHighest, ...(type === 'cosine_with_min_lr' ? lowestProblems(given, placeOf) : [])];
}

/** `cosine_with_min_lr` takes exactly one of two keys. */
function lowestProblems(
  { min_lr, min_lr_rate }: NonNullable<TrainingOptions['lr_scheduler_kwargs']>,
  placeOf: PlaceOf,
): Problem[] {
  if (min_lr !== undefined && min_lr_rate !== undefined) {
    return [
      {
        code: 'config.two-lowest-rates',
        message: l10n.t`\`min_lr\` and \`min_lr_rate\` are both given`,
        where: placeOf(['training', 'lr_scheduler_kwargs', 'min_lr_rate']),
        mend: l10n.t`Keep one of them.`,
      },
    ];
  }
  if (min_lr !== undefined || min_lr_rate !== undefined) return [];
  return [
    {
      code: 'config.no-lowest-rate',
      message: l10n.t`the schedule \`cosine_with_min_lr\` is not told how low to go`,
      where: placeOf(['training', 'lr_scheduler_type']),
      expected: l10n.t`\`min_lr\` (a learning rate) or \`min_lr_rate\` (a share of it) under \`lr_scheduler_kwargs\``,
      mend: l10n.t`Add \`lr_scheduler_kwargs: {min_lr_rate: 0.1}\`, or set \`lr_scheduler_type: cosine\` to go to 0.`,
    },
  ];
}

function optimizerProblems(training: TrainingOptions, placeOf: PlaceOf): Problem[] {
  if (training.optim === 'sgd' && training.nesterov && training.momentum === 0) {
    return [
      {
        code: 'config.nesterov-without-momentum',
        message: l10n.t`\`training.nesterov\` needs a momentum, and \`training.momentum\` is 0`,
        where: placeOf(['training', 'nesterov']),
        mend: l10n.t`Set \`momentum: 0.9\`, or remove \`nesterov\`.`,
      },
    ];
  }
  const { optim, adafactor_warmup_init, adafactor_relative_step } = training;
  if (optim === 'adafactor' && adafactor_warmup_init && !adafactor_relative_step) {
    return [
      {
        code: 'config.warmup-without-relative-step',
        message: l10n.t`\`training.adafactor_warmup_init\` is a warm-up of \`adafactor_relative_step\`, which is off`,
        where: placeOf(['training', 'adafactor_warmup_init']),
        mend: l10n.t`Set \`adafactor_relative_step: true\`, or use \`warmup_steps\` instead.`,
      },
    ];
  }
  return [];
}

/** Options that are set and that nothing in this run reads. */
function unreadProblems(training: TrainingOptions, placeOf: PlaceOf): Problem[] {
  const isSet = (key: Key): boolean =>
    training[key] !== undefined && training[key] !== TrainingOptions.properties[key].default;
  const unread = (keys: readonly Key[], why: string, mend: string): Problem[] =>
    keys.filter(isSet).map((key) => ({
      code: 'config.unread-option',
      severity: 'warning',
      message: l10n.t`\`training.${key}\` has no effect: ${why}`,
      where: placeOf(['training', key], 'key'),
      mend,
    }));
  const { optim } = training;
  const others = (Object.keys(OPTIMIZER_KEYS) as (keyof typeof OPTIMIZER_KEYS)[]).filter((name) => name !== optim);
  const choosesBest = training.load_best_model_at_end || training.early_stopping_patience !== undefined;
  return [
    ...others.flatMap((name) =>
      unread(
        OPTIMIZER_KEYS[name],
        l10n.t`\`optim\` is \`${optim}\``,
        l10n.t`Remove it, or set \`optim: ${name}\`.`,
      ),
    ),
    ...(optim === 'adafactor' && training.adafactor_relative_step
      ? unread(
          ['learning_rate', 'lr_scheduler_type', 'warmup_steps', 'warmup_ratio'],
          l10n.t`with \`adafactor_relative_step\` Adafactor has a learning rate of its own`,
          l10n.t`Remove it, or set \`adafactor_relative_step: false\`.`,
        )
      : []),
    ...(training.sam_rho === 0
      ? unread(
          ['sam_adaptive'],
          l10n.t`\`sam_rho\` is 0`,
          l10n.t`Remove it, or set \`sam_rho\`, usually to 0.5 with it.`,
        )
      : []),
    ...(training.early_stopping_patience === undefined
      ? unread(
          ['early_stopping_threshold'],
          l10n.t`there is no early stopping`,
          l10n.t`Set \`early_stopping_patience\` also.`,
        )
      : []),
    ...(training.cache_frozen_layers
      ? []
      : unread(
          ['cache_memory_mib'],
          l10n.t`\`cache_frozen_layers\` is off`,
          l10n.t`Set \`cache_frozen_layers: true\` also.`,
        )),
    ...(training.eval_generations === 0
      ? unread(
          ['eval_generation_tokens'],
          l10n.t`\`eval_generations\` is 0`,
          l10n.t`Set \`eval_generations\` also.`,
        )
      : []),
    ...(choosesBest
      ? []
      : unread(
          ['metric_for_best_model'],
          l10n.t`nothing depends on the best evaluation`,
          l10n.t`Set \`load_best_model_at_end\`, \`early_stopping_patience\` or both.`,
        )),
  ];
}

function evaluationProblems(
  training: TrainingOptions,
  data: NonNullable<Draft['data']>,
  placeOf: PlaceOf,
): Problem[] {
  if (data.validation !== undefined || (data.validation_split ?? 0) > 0) return [];
  const mend = l10n.t`Add \`data.validation\` or \`data.validation_split\`.`;
  const needing = [
    ...(training.load_best_model_at_end ? (['load_best_model_at_end'] as const) : []),
    ...(training.early_stopping_patience === undefined ? [] : (['early_stopping_patience'] as const)),
  ];
  const idle = [
    ...(training.eval_steps === undefined ? [] : (['eval_steps'] as const)),
    ...(training.eval_generations === 0 ? [] : (['eval_generations'] as const)),
  ];
  return [
    ...idle.map((key): Problem => ({
      code: 'config.nothing-to-evaluate',
      severity: 'warning',
      message: l10n.t`\`training.${key}\` has no effect: no validation data is given`,
      where: placeOf(['training', key], 'key'),
      mend,
    })),
    ...needing.map((key): Problem => ({
      code: 'config.no-validation',
      message: l10n.t`\`training.${key}\` goes by evaluations, and no validation data is given`,
      where: placeOf(['training', key], 'key'),
      mend: l10n.t`${mend.slice(0, -1)}, or remove \`${key}\`.`,
    })),
  ];
}
