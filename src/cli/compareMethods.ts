import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { formatBytes, formatDuration, formatLoss } from '../common/format.js';
import { machineMemory } from '../common/machineMemory.js';
import { fail } from '../common/problem.js';
import { compareMethods, plannedComparison } from '../engines/compareMethods/compareMethods.js';
import type { ComparisonAbout, ComparisonJob } from '../engines/compareMethods/compareMethods.js';
import { SORTS, sortedMethods } from '../engines/compareMethods/comparison.js';
import type { MethodComparison, Sort } from '../engines/compareMethods/comparison.js';
import {
  COMPARISON_SUFFIX,
  withComparisonFolder,
  writeComparison,
} from '../engines/compareMethods/comparisonFiles.js';
import {
  METHOD_COLUMNS,
  columnTitles,
  comparisonNotes,
  methodCells,
  methodRemarks,
  unfinishedNote,
} from '../engines/compareMethods/comparisonText.js';
import { noHeldOut } from '../engines/compareMethods/heldOut.js';
import { allEntries, parseEntries } from '../engines/compareMethods/methodEntry.js';
import { planComparison } from '../engines/compareMethods/planComparison.js';
import type {
  ComparisonChoice,
  Match,
  PlannedComparison,
  RateChoice,
} from '../engines/compareMethods/planComparison.js';
import { memoryWarning } from '../engines/memoryWarning.js';
import type { WorkerRun } from '../engines/workerRun.js';
import { comparedModel } from '../language/comparedModel.js';
import type { Arguments } from './arguments.js';
import type { Command } from './command.js';
import { sizeOf } from './estimateOptions.js';
import { DONE, FAILED } from './exitCode.js';
import type { Io } from './io.js';
import { checkRunFile } from './runFile.js';
import { printable } from './styles.js';
import { table } from './table.js';

export const compareMethodsCommand: Command = {
  name: 'compare-methods',
  summary: 'Run a file with each fine-tuning method and lay them side by side: loss, size, memory, time.',
  positionals: [{ name: 'FILE', help: 'a run file with held-out rows; its method is replaced' }],
  options: {
    methods: {
      value: 'LIST',
      help: "Methods to compare, options in braces, + between methods of one run: 'lora{r=4},lora{r=16},full+child_tuning'. Default: every method.",
    },
    'match-trainable': {
      value: 'SHARE|COUNT',
      help: 'Give each method the size (r, keep_ratio, num_virtual_tokens, …) with which about so many numbers train: 0.5% of the model, or 100000.',
    },
    match: {
      value: 'METHOD',
      help: "The same, as many as with this method, as in --methods: lora, 'lora{r=4}'.",
    },
    'learning-rates': {
      value: 'LIST',
      help: "Learning rates to try for each method, of which the best by held-out loss counts: 1e-4,1e-3; or multiples of the usual one: x1,x3. Default: x1, the run file's rate; of a family with another usual rate than that of the file's method (full: a tenth of LoRA's), in that ratio.",
    },
    seeds: {
      value: 'N|LIST',
      help: "How many seeds, from the run file's on; or which: 1,2,3. Default: 1. Rates are chosen with the first.",
    },
    'max-memory': {
      value: 'SIZE',
      help: 'Leave out methods that are planned to need more that the system cannot take back, such as 8GB.',
    },
    sort: { value: 'KEY', help: `${SORTS.join(', ')}. Default: loss.` },
    set: { value: 'KEY=VALUE', multiple: true, help: 'Override an option of the file, as in `train`.' },
    out: {
      value: 'DIR',
      help: `Where runs and results are kept; finished runs are found again there. Default: NAME${COMPARISON_SUFFIX} beside the runs of the file.`,
    },
    plan: { help: 'Only tell what would run: methods, sizes, memory. Nothing is written.' },
  },
  json: '{ "version", "file", "folder", "args", "model", "parameters", "matched": { "to", "trainable" }, "seeds", "metric", "done", "of", "methods": [{ "method", "family", "options", "state", "problem", "note", "trainable", "share", "planned", "learning_rate", "rates": [{ "learning_rate", "loss" }], "results": { "start", "loss", "metrics", "peak_memory", "seconds", "step_seconds", "bytes" }, "runs": [{ "learning_rate", "seed", "folder", "start", "loss", "metrics", "trainable", "steps", "seconds", "step_seconds", "peak_memory", "bytes" }] }] }; results are { "mean", "deviation", "n" }',
  jsonForm: 'document',
  examples: [
    'sql.peft.yaml',
    'sql.peft.yaml --methods lora,ia3,prefix_tuning --seeds 3 --learning-rates x1,x3,x10',
    'sql.peft.yaml --match lora --sort metric --json',
    'sql.peft.yaml --match-trainable 0.5% --max-memory 8GB --plan',
  ],
  async run(args, io) {
    const choice = choiceOf(args);
    const sort = sortOf(args);
    const { run } = await checkRunFile(choice.file, choice.overrides);
    const { config } = run;
    if (config.data.validation === undefined && (config.data.validation_split ?? 0) === 0) {
      fail(noHeldOut(choice.file));
    }
    const model = await comparedModel(run);
    const about: ComparisonAbout = {
      file: choice.file,
      folder: path.resolve(
        args.text('out') ?? path.join(config.output.dir, `${config.output.name}${COMPARISON_SUFFIX}`),
      ),
      args: argumentsOf(args),
      model: config.model,
      parameters: model.parameters,
      seeds: seedsOf(args, config.training.seed),
    };
    io.progress.update({ activity: l10n.t`Looking at the methods`, done: 0, total: 0 });
    const plan = await planComparison(choice, model);
    io.progress.end();
    io.interrupt.check();
    if (args.flag('plan')) return tell(plannedComparison(about, plan), sort, args, io);
    return withComparisonFolder(about.folder, about.file, async () => {
      await warnOfMemory(plan, io);
      await writeComparison(plannedComparison(about, plan));
      const comparison = await compareMethods(about, plan, jobOf(choice, about, io));
      io.progress.end();
      io.interrupt.check();
      if (comparison === undefined) {
        return fail({
          code: 'cli.interrupted',
          message: 'a run was stopped; the same command goes on from there',
        });
      }
      await writeComparison(comparison);
      const code = tell(comparison, sort, args, io);
      return comparison.methods.some(({ state }) => state === 'done') ? code : FAILED;
    });
  },
};

/** What `--set` sets for all methods. @throws ProblemError `cli.option-idle` for what each method replaces */
function overridesOf(args: Arguments): readonly string[] {
  const set = args.all('set');
  const idle = set.find((each) => /^\s*method\s*[.=]/.test(each));
  if (idle === undefined) return set;
  return fail({
    code: 'cli.option-idle',
    message: `--set ${idle} says nothing: the method of the file is replaced`,
    expected: 'settings of the run but its method',
    mend: "Write options in braces behind the method that they are of: --methods 'lora{r=4}'.",
  });
}

function choiceOf(args: Arguments): ComparisonChoice {
  const named = args.text('methods');
  return {
    file: path.resolve(args.positional(0)),
    // Answers, and checkpoints of old steps, are nobody's here.
    overrides: [...overridesOf(args), 'training.eval_generations=0', 'training.save_total_limit=1'],
    entries: named === undefined ? allEntries() : parseEntries(named),
    match: matchOf(args),
    rates: ratesOf(args),
    maxMemory: sizeOf(args, 'max-memory'),
  };
}

/** What the command was asked for, but for where and how it tells of it. */
function argumentsOf(args: Arguments): readonly string[] {
  return ['methods', 'match-trainable', 'match', 'learning-rates', 'seeds', 'max-memory', 'set'].flatMap((name) =>
    args.all(name).map((value) => `--${name}=${value}`),
  );
}

function matchOf(args: Arguments): Match | undefined {
  const size = args.text('match-trainable');
  const name = args.text('match');
  if (size !== undefined && name !== undefined) {
    fail({ code: 'cli.option-value', message: '--match-trainable and --match are both given', mend: 'Give one.' });
  }
  if (name !== undefined) {
    const [entry, ...others] = parseEntries(name);
    if (entry !== undefined && others.length === 0) return { kind: 'entry', entry };
    return fail({ code: 'cli.option-value', message: `--match is "${name}"`, expected: 'one method: lora' });
  }
  if (size === undefined) return undefined;
  const [, number, percent] = /^\s*(\d+(?:\.\d+)?(?:e-?\d+)?)\s*(%?)\s*$/i.exec(size) ?? [];
  const value = Number(number ?? NaN);
  if (percent === '%' && value > 0 && value <= 100) return { kind: 'share', share: value / 100 };
  if (percent === '' && Number.isInteger(value) && value > 0) return { kind: 'count', trainable: value };
  return fail({
    code: 'cli.option-value',
    message: `--match-trainable is "${size}"`,
    expected: 'a share of the model such as 0.5%, or a whole number such as 100000',
  });
}

function ratesOf(args: Arguments): readonly RateChoice[] | undefined {
  const parts = args
    .text('learning-rates')
    ?.split(',')
    .map((part) => part.trim());
  return parts?.map((part) => {
    const [, times, number] = /^(x?)(.+)$/i.exec(part) ?? [];
    const value = Number(number ?? NaN);
    if (!(value > 0) || !Number.isFinite(value)) {
      fail({
        code: 'cli.option-value',
        message: `--learning-rates holds "${part}"`,
        expected: 'numbers above 0 with commas between: 1e-4,1e-3; or multiples of the usual rate: x1,x3',
      });
    }
    return times === '' ? { rate: value } : { times: value };
  });
}

/** @param own the run file's */
function seedsOf(args: Arguments, own: number): readonly number[] {
  const text = args.text('seeds') ?? '1';
  const numbers = text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part)));
  const [first = NaN, ...others] = numbers;
  const least = others.length === 0 ? 1 : 0;
  if (
    numbers.some((each) => !Number.isInteger(each) || each < least) ||
    (others.length === 0 && first > MOST_SEEDS)
  ) {
    fail({
      code: 'cli.option-value',
      message: `--seeds is "${text}"`,
      expected: `how many, 1 to ${MOST_SEEDS}, or whole numbers from 0 up with commas between`,
    });
  }
  return others.length > 0 ? [...new Set(numbers)] : Array.from({ length: first }, (_, at) => own + at);
}

/** More as a count is a seed that was meant. */
const MOST_SEEDS = 100;

function sortOf(args: Arguments): Sort {
  const text = args.text('sort') ?? 'loss';
  return (
    SORTS.find((each) => each === text) ??
    fail({ code: 'cli.option-value', message: `--sort is "${text}"`, expected: `one of ${SORTS.join(', ')}` })
  );
}

/** Methods whose plan does not fit what is free are run all the same: a run that meets the end of memory says so. */
async function warnOfMemory({ entries }: PlannedComparison, io: Io): Promise<void> {
  const machine = await machineMemory();
  for (const { entry, plan, problem } of entries) {
    const warning = plan === undefined || problem !== undefined ? undefined : memoryWarning(plan, machine);
    if (warning !== undefined) io.problem({ ...warning, message: `${entry.label}: ${warning.message}` });
  }
}

function jobOf(choice: ComparisonChoice, about: ComparisonAbout, io: Io): ComparisonJob {
  let present: WorkerRun | undefined;
  let state = { activity: '', done: 0, total: 0 };
  let total = 0;
  let began = 0;
  const seconds: number[] = [];
  io.interrupt.onSignal((count) => {
    if (count > 1) {
      io.note('Killing the run; those that have finished are kept.');
      present?.kill();
      io.interrupt.leave();
      return;
    }
    io.note('Stopping after this step; the same command goes on from there. Ctrl-C again kills the run.');
    present?.stop();
  });
  return {
    file: choice.file,
    overrides: choice.overrides,
    folder: path.join(about.folder, 'runs'),
    worker: io.worker,
    onRun: (run) => (present = run),
    check: io.interrupt.check,
    next({ method, rate, seed, number, of }) {
      began = performance.now();
      const mean = seconds.reduce((sum, each) => sum + each, 0) / seconds.length;
      const run =
        seconds.length === 0
          ? l10n.t`${method}, seed ${seed}, learning rate ${rate}`
          : l10n.t`${method}, seed ${seed}, learning rate ${rate}, about ${formatDuration(mean * (of - number + 1))} left`;
      state = {
        activity: `[${number}/${of}] ${run}`,
        done: number - 1,
        total: of,
      };
      io.progress.update(state);
    },
    async told(comparison, isKept) {
      if (!isKept) seconds.push((performance.now() - began) / 1000);
      await writeComparison(comparison);
    },
    tell(event) {
      if (event.type === 'started') total = event.totalSteps;
      if (event.type !== 'step') return;
      io.progress.update({ ...state, detail: `step ${event.step}/${total}  loss ${formatLoss(event.loss)}` });
    },
    print: (line) => io.note(printable(line)),
  };
}

/** Prints a comparison as it was asked for. */
function tell(comparison: MethodComparison, sort: Sort, args: Arguments, io: Io): number {
  if (args.flag('json')) {
    io.json(comparison);
    return DONE;
  }
  const titles = columnTitles(comparison);
  const methods = sortedMethods(comparison, sort);
  if (args.flag('plan')) {
    io.line(
      table(
        methods.map((each) => {
          const { method, trainable, share } = methodCells(each, comparison);
          return [method, each.family, trainable, share, each.planned === null ? '–' : formatBytes(each.planned)];
        }),
        ['METHOD', 'FAMILY', 'TRAINABLE', 'SHARE', 'MEMORY'],
      ),
    );
  } else {
    io.line(
      table(
        methods.map((each) => {
          const cells = methodCells(each, comparison);
          return METHOD_COLUMNS.map((column) => cells[column]);
        }),
        METHOD_COLUMNS.map((column) => titles[column].toUpperCase()),
      ),
    );
  }
  io.line('');
  const notes = [...comparisonNotes(comparison), ...unfinishedNote(comparison), ...methodRemarks(comparison)];
  for (const line of notes) io.line(printable(line));
  if (!args.flag('plan')) {
    io.line('');
    io.line(`Results   ${printable(path.join(comparison.folder, 'results.json'))}, .csv, .md, .svg`);
  }
  return DONE;
}
