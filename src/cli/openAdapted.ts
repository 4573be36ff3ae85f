import * as l10n from '@vscode/l10n';
import { adapterTask } from '../adapters/adapterTask.js';
import { atRank } from '../adapters/converting/rankCut.js';
import { tokenizerOf } from '../adapters/tokenizerOf.js';
import { fail } from '../common/problem.js';
import { attachAdapters, noAdapterOf, openAdapters } from '../engines/openAdapters.js';
import type { AdaptersOnDisk } from '../engines/openAdapters.js';
import { openModel, vocabularyWarnings } from '../engines/session.js';
import type { OpenedModel } from '../engines/session.js';
import type { Attached, Values } from '../methods/method.js';
import type { Checkpoint, MappedWeights } from '../models/checkpoint.js';
import type { WantedTask } from '../models/task.js';
import type { Option } from './command.js';
import { hubOf } from './hub.js';
import type { Io } from './io.js';

/** For commands that apply an adapter. */
export const RANK_OPTION: Option = {
  value: 'B',
  help: 'Apply the first B components of a LoRA only: any rank of an adapter that was trained with dylora.',
};

/** A base model, with an adapter where one is named; no weight of the base is read yet. */
export interface Adapted extends OpenedModel {
  readonly methods: readonly Attached[];
  readonly values: Values;
}

/**
 * Opens a model and attaches an adapter, or all that a run wrote; warnings are printed.
 * @param folder where a relative path of the model starts
 * @param task what the model is to do, where no adapter says it
 * @param rowTask the task whose adapter is meant, of those that a run wrote for several
 * @param rank a lower rank that a LoRA is cut to
 * @throws ProblemError of the model or the adapter
 */
export async function openAdapted(
  model: string,
  adapter: string | undefined,
  io: Io,
  folder = '.',
  task: WantedTask = {},
  rowTask?: string,
  rank?: number,
): Promise<Adapted> {
  // An adapter brings its own numbers: the seed of its start does not matter.
  if (adapter === undefined && rowTask !== undefined) return noAdapterOf(rowTask);
  if (adapter === undefined && rank !== undefined) return noAdapterToCut();
  const onDisk = adapter === undefined ? undefined : withRank(await openAdapters(adapter, rowTask), rank);
  const wanted = onDisk === undefined ? task : { ...task, ...adapterTask(onDisk.adapters[0]) };
  const base = await openModel(model, 0, { ...hubOf(io), folder }, wanted);
  const tokenizer = await tokenizerOf(onDisk?.adapters ?? [], base.tokenizer, (problem) => io.problem(problem));
  const opened = { ...base, tokenizer, context: { ...base.context, tokenizer } };
  for (const warning of vocabularyWarnings(opened.model, opened.tokenizer)) io.problem(warning);
  if (onDisk === undefined) return { ...opened, methods: [], values: new Map() };
  const { methods, values, warnings } = await attachAdapters(onDisk, opened.context);
  for (const warning of [...onDisk.warnings, ...warnings]) io.problem(warning);
  return { ...opened, methods, values };
}

function noAdapterToCut(): never {
  return fail({
    code: 'cli.option-missing',
    message: '--rank says the rank of an adapter, and none is named',
    mend: 'Add --adapter DIR.',
  });
}

/** The adapters at a lower rank. */
function withRank(onDisk: AdaptersOnDisk, rank: number | undefined): AdaptersOnDisk {
  if (rank === undefined) return onDisk;
  const [first, ...others] = onDisk.adapters;
  const cuts = [atRank(first, rank), ...others.map((each) => atRank(each, rank))] as const;
  return {
    adapters: [cuts[0].adapter, ...cuts.slice(1).map(({ adapter }) => adapter)],
    warnings: [...onDisk.warnings, ...cuts.flatMap(({ warnings }) => warnings)],
  };
}

/**
 * The base's weights as float32 in files; a conversion shows its progress.
 * @throws ProblemError of the checkpoint; `cli.interrupted`
 */
export async function mapWeights(checkpoint: Checkpoint, io: Io): Promise<MappedWeights> {
  const weights = await checkpoint.mapped((done, total) => {
    io.interrupt.check();
    io.progress.update({ activity: l10n.t`Converting the weights to float32`, done, total });
  });
  io.progress.end();
  return weights;
}
