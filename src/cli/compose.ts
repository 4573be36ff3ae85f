import path from 'node:path';
import { HUB_RECORD } from '../adapters/adapterFiles.js';
import { loraHub } from '../adapters/combining/loraHub.js';
import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { checkSameBase } from '../adapters/sameBase.js';
import { pathKind } from '../common/files.js';
import { fail } from '../common/problem.js';
import { refuseExisting } from '../common/wholeFolder.js';
import type { HubEvent, HubRecord } from '../engines/composition/record.js';
import { MAX_RECORD_BYTES, readRecord } from '../engines/composition/readRecord.js';
import type { HubSearch } from '../engines/searchHub.js';
import { openModel } from '../engines/session.js';
import { readBoundedText } from '../models/boundedJson.js';
import { baseOf } from './adapterBase.js';
import type { Arguments } from './arguments.js';
import type { Command } from './command.js';
import { searchMixture } from './composeSearch.js';
import type { ComposeFound } from './composeSearch.js';
import { composeText } from './composeText.js';
import { writeMixture } from './composeWrite.js';
import { DONE } from './exitCode.js';
import { hubOf } from './hub.js';
import type { Io } from './io.js';
import { openOneAdapter } from './openOneAdapter.js';
import { refuseInside } from './refuseInside.js';

export const compose: Command = {
  name: 'compose',
  summary: 'Mix LoRA adapters for a new task: weights that suit a few examples (LoRAHub).',
  positionals: [
    {
      name: 'ADAPTER',
      help: 'folders of LoRA adapters of one base model; or the lorahub.json of an earlier search (- reads it from standard input), whose mixture is written',
      multiple: true,
    },
  ],
  options: {
    data: { value: 'FILE', help: 'The few examples of the new task, such as five rows. Needed to search.' },
    out: { value: 'DIR', help: 'The folder to write; it must not exist. Without it the search is only told of.' },
    model: {
      value: 'BASE|FILE',
      help: "The base model, or a run file that says how rows become text. Default: the base that the adapters' configs name.",
    },
    budget: { value: 'N', help: 'How many mixtures to try. Default: 40.' },
    bound: { value: 'W', help: 'Weights stay within ± this. Default: 1.5.' },
    regularization: { value: 'A', help: 'A·mean|w| is added to the loss. Default: 0.05.' },
    evaluate: {
      value: 'FILE',
      help: 'Rows that the search does not see: base, average, best adapter alone and mixture are measured on them.',
    },
  },
  json: 'one JSON object per line: "began" (search: adapters, base, data, rows, tokens, budget, bound, regularization), "compared" (losses of the average and of each adapter alone), a "trial" for each (weights, loss, penalty, objective, best, seconds), "finished" (search as in lorahub.json: with the weights, trials, compared, heldOut; out, warnings) or "failed"',
  jsonForm: 'events',
  examples: [
    'runs/imdb/adapter runs/trec/adapter runs/sciq/adapter --data five-rows.jsonl --out mixed',
    'a b c --data five-rows.jsonl --evaluate held-out.jsonl',
    'mixed/lorahub.json --out mixed-again',
  ],
  async run(args, io) {
    const named = args.rest(0);
    const out = args.text('out') === undefined ? undefined : path.resolve(args.required('out'));
    const isWritten = named.some(isRecordName);
    if (isWritten) checkAlone(args);
    const search = searchOf(args);
    const data = isWritten ? undefined : dataOf(args);
    if (out !== undefined) await refuseExisting(out);
    const json = args.flag('json');
    const found =
      data === undefined
        ? await readMixture(named[0]!, args, io)
        : await searched({ adapters: named, data, search }, args, io);
    const { record, warnings } = found;
    if (out !== undefined) await writeMixture(out, record, found);
    if (json) io.json({ type: 'finished', search: record, out: out ?? null, warnings } satisfies HubEvent);
    else io.line(composeText(record, out));
    return DONE;
  },
};

async function searched(
  { adapters, data, search }: { adapters: readonly string[]; data: string; search: HubSearch },
  args: Arguments,
  io: Io,
): Promise<ComposeFound> {
  const opened = await openAll(adapters, args);
  for (const warning of checkSameBase(opened, args.text('model') !== undefined)) io.problem(warning);
  const model = args.text('model') ?? (await baseOf(opened[0]));
  const json = args.flag('json');
  const tell = (event: HubEvent): void => (json ? io.json(event) : undefined);
  return searchMixture({ adapters: opened, model, data, heldOut: args.text('evaluate'), search, tell }, io);
}

/** The mixture of an earlier search, to be written. */
async function readMixture(name: string, args: Arguments, io: Io): Promise<ComposeFound> {
  const isPiped = name === PIPED;
  const file = isPiped ? 'standard input' : path.resolve(name);
  if (!isPiped && (await pathKind(file)) !== 'file') {
    fail({
      code: 'compose.record',
      message: 'there is no such file',
      where: { file },
      expected: `a ${HUB_RECORD} that peft-studio compose has written`,
    });
  }
  const text = isPiped
    ? await io.readInput()
    : await readBoundedText(file, { code: 'compose.record', maxBytes: MAX_RECORD_BYTES });
  const record: HubRecord = readRecord(text, file);
  const adapters = await openAll(
    record.adapters.map(({ folder }) => folder),
    args,
  );
  const base = args.text('model') ?? record.base ?? (await baseOf(adapters[0]));
  const opened = await openModel(base, 0, hubOf(io), {});
  const hub = await loraHub(adapters, opened.context);
  for (const warning of hub.warnings) io.problem(warning);
  return { record, hub, tokenizer: opened.tokenizer, warnings: hub.warnings };
}

/** @throws ProblemError `cli.out-inside` where what is to be written lies in one of them; those of the adapters */
async function openAll(folders: readonly string[], args: Arguments): Promise<[AdapterOnDisk, ...AdapterOnDisk[]]> {
  const [first = '', ...others] = folders;
  const adapters: [AdapterOnDisk, ...AdapterOnDisk[]] = [await openOneAdapter(first)];
  for (const folder of others) adapters.push(await openOneAdapter(folder));
  const out = args.text('out');
  if (out !== undefined)
    await refuseInside(
      out,
      adapters.map(({ folder }) => folder),
    );
  return adapters;
}

const PIPED = '-';

function isRecordName(name: string): boolean {
  return name === PIPED || /\.json$/i.test(name);
}

/** What belongs to a search has no part in writing the mixture of one. */
function checkAlone(args: Arguments): void {
  const [name, extra] = args.rest(0);
  const option = ['data', 'budget', 'bound', 'regularization', 'evaluate'].find(
    (each) => args.text(each) !== undefined,
  );
  if (extra !== undefined || option !== undefined) {
    fail({
      code: 'cli.argument-extra',
      message: `${name} is the record of a search: ${extra ?? `--${option}`} has no part in writing its mixture`,
      expected: 'compose RECORD --out DIR, and --model BASE where the base model is elsewhere',
    });
  }
  if (args.text('out') !== undefined) return;
  fail({
    code: 'cli.option-missing',
    message: '`compose` of a record needs --out: The folder to write; it must not exist.',
    expected: '--out DIR',
  });
}

function dataOf(args: Arguments): string {
  const data = args.text('data');
  if (data !== undefined) return data;
  return fail({
    code: 'cli.option-missing',
    message: '`compose` needs --data: The few examples of the new task, such as five rows.',
    expected: '--data FILE',
  });
}

function searchOf(args: Arguments): HubSearch {
  const numberOf = (name: string, usual: number, fits: (value: number) => boolean, expected: string): number => {
    const value = args.number(name) ?? usual;
    if (fits(value)) return value;
    return fail({ code: 'cli.option-value', message: `--${name} is "${args.text(name)}"`, expected });
  };
  return {
    budget: numberOf('budget', 40, (value) => Number.isInteger(value) && value >= 1, 'a whole number, 1 or more'),
    bound: numberOf('bound', 1.5, (value) => value > 0, 'a number above 0'),
    regularization: numberOf('regularization', 0.05, (value) => value >= 0, 'a number, 0 or more'),
  };
}
