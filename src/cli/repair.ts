import path from 'node:path';
import { adapterTask } from '../adapters/adapterTask.js';
import { repairCommand } from '../adapters/faults/repairMend.js';
import { faultReport, findFaults, unmended, writeRepaired } from '../adapters/faults/repair.js';
import type { FaultReport } from '../adapters/faults/repair.js';
import { readMended } from '../adapters/faults/readMended.js';
import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { pathKind } from '../common/files.js';
import { ProblemError, fail, isError, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { random } from '../common/random.js';
import type { AttachContext } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Checkpoint } from '../models/checkpoint.js';
import { openCheckpoint } from '../models/openCheckpoint.js';
import { readModel } from '../models/readModel.js';
import { baseOnDisk } from './baseOnDisk.js';
import type { Command } from './command.js';
import { DONE, UNUSABLE_INPUT } from './exitCode.js';
import { refuseInside } from './refuseInside.js';
import { printable } from './styles.js';

export const repair: Command = {
  name: 'repair',
  summary: 'Say what keeps an adapter from loading, and write a mended copy of it.',
  positionals: [{ name: 'ADAPTER', help: 'an adapter folder (adapter_config.json, adapter_model.safetensors)' }],
  options: {
    model: {
      value: 'BASE',
      help: 'The base model that names, targets and shapes are compared with. Default: the one that the adapter names, where it is on this machine.',
    },
    out: {
      value: 'DIR',
      help: 'Write a mended copy to this folder, which must not exist. Without it nothing is written.',
    },
  },
  json: '{ "folder", "checkedWith"?, "faults": [{ "problem", "differences", "repair"? }], "rest": [problem], "repairable", "out"? }; repair is what would be done, rest what no repair mends; without --out a fault that is an error exits 2',
  jsonForm: 'document',
  examples: ['my-adapter', 'my-adapter --model models/SmolLM2-135M --out my-adapter-repaired'],
  async run(args, io) {
    const folder = path.resolve(args.positional(0));
    const [model, out] = [args.text('model'), args.text('out')];
    if (out !== undefined) await refuseInside(out, [folder]);
    const { adapter } = await readMended(folder);
    const base = await baseFor(model, adapter, (problem) => io.problem(problem));
    const found = await findFaults(folder, base?.context, base?.name);
    io.interrupt.check();
    const report: FaultReport = {
      ...faultReport(folder, found),
      ...(base === undefined ? {} : { checkedWith: base.place }),
      ...(out === undefined ? {} : { out: path.resolve(out) }),
    };
    if (out !== undefined) {
      if (unmended(found).length === 0 && !report.repairable) nothingToRepair(folder);
      await writeRepaired(out, found, base?.context);
    }
    if (args.flag('json')) io.json(report);
    else io.line(printable(reportText(report)));
    if (out !== undefined) return DONE;
    return [...found.faults.map(({ problem }) => problem), ...found.rest].some(isError) ? UNUSABLE_INPUT : DONE;
  },
};

function nothingToRepair(folder: string): never {
  return fail({
    code: 'adapter.no-fault',
    message: `nothing in ${folder} needs a repair, and nothing was written`,
    mend: 'Use the adapter as it is.',
  });
}

interface BaseModel {
  readonly place: string;
  /** How a config should name it, where the command does. */
  readonly name?: string;
  readonly context: AttachContext;
}

/** The base model, where it is on this machine and can be read. */
async function baseFor(
  model: string | undefined,
  adapter: AdapterOnDisk,
  warn: (problem: Problem) => void,
): Promise<BaseModel | undefined> {
  const place = await baseOnDisk(model, adapter.baseModel);
  if (place === undefined) return undefined;
  const isPath = model !== undefined && (await pathKind(model)) !== 'nothing';
  const name = isPath ? path.resolve(model) : model;
  try {
    const checkpoint = await openCheckpoint(place);
    const context = {
      model: readFor(checkpoint, adapter),
      modelName: name ?? adapter.baseModel ?? place,
      read: (tensor: string) => checkpoint.read(tensor),
      random: (...stream: readonly (string | number)[]) => random(0, ...stream),
    };
    return { place, ...(name === undefined ? {} : { name }), context };
  } catch (error) {
    if (!(error instanceof ProblemError) || model !== undefined) throw error;
    warn({ ...problemOf(error), severity: 'warning' });
    return undefined;
  }
}

/** The base for the adapter's task; where it is not made for that, which is a fault of the adapter, as it is usually read. */
function readFor(checkpoint: Checkpoint, adapter: AdapterOnDisk): LanguageModel {
  try {
    return readModel(checkpoint, adapterTask(adapter));
  } catch (error) {
    if (error instanceof ProblemError && error.problem.code === 'model.task-type') return readModel(checkpoint);
    throw error;
  }
}

/** So many lines of a difference are shown; `--json` has them all. */
const SHOWN = 12;

function reportText({ folder, checkedWith, faults, rest, repairable, out }: FaultReport): string {
  const head =
    checkedWith === undefined
      ? 'The base model is not here: names and shapes are not compared with it.'
      : `Compared with ${checkedWith}.`;
  const blocks = [
    ...faults.map(({ problem, differences, repair: mend }) =>
      [
        ...told(problem),
        ...differences.slice(0, SHOWN).map((line) => `    ${line}`),
        ...(differences.length > SHOWN
          ? [`    … and ${differences.length - SHOWN} more (--json lists them)`]
          : []),
        ...(mend === undefined ? [] : [`  Repair: ${mend}`]),
      ].join('\n'),
    ),
    ...rest.map((problem) => told(problem).join('\n')),
  ];
  const ending =
    out !== undefined
      ? [`Repaired copy, opened and checked: ${out}`]
      : repairable
        ? [`Write a repaired copy: ${repairCommand(folder)}`]
        : [];
  return [head, ...(blocks.length === 0 ? ['No fault found.'] : blocks), ...ending].join('\n\n');
}

function told(problem: Problem): string[] {
  const { code, message, expected, mend } = problem;
  return [
    `${isError(problem) ? 'Fault' : 'Note'} ${code}: ${message}`,
    ...(expected === undefined ? [] : [`  Expected: ${expected}`]),
    ...(mend === undefined ? [] : [`  ${mend}`]),
  ];
}
