import path from 'node:path';
import { convertAdapter, writeConverted } from '../adapters/convert.js';
import { formatCount } from '../common/format.js';
import { fail } from '../common/problem.js';
import type { Arguments } from './arguments.js';
import type { Command } from './command.js';
import { convertToGguf, toGgufOptions } from './convertToGguf.js';
import { convertToLora, toLoraOptions } from './convertToLora.js';
import { DONE } from './exitCode.js';
import type { Io } from './io.js';
import { openOneAdapter } from './openOneAdapter.js';
import { table } from './table.js';

/** Options that do nothing for what the adapter is to become. */
const IDLE = {
  lora: ['dtype'],
  gguf: ['rank', 'energy'],
  rank: ['energy', 'model', 'dtype'],
} as const;

export const convert: Command = {
  name: 'convert',
  summary:
    'Write an adapter in another form: a lower rank, the nearest LoRA to any fine-tune, a GGUF file for llama.cpp.',
  positionals: [
    { name: 'ADAPTER|MODEL', help: 'an adapter folder; with --to lora also a model that was trained' },
  ],
  options: {
    rank: {
      value: 'B',
      help: 'Keep the first B components of each module. Made for adapters that were trained with dylora, which can be cut to any rank.',
    },
    to: {
      value: 'lora|gguf',
      help: 'lora: of any adapter that can be merged, or of a whole model, the nearest LoRA to what it changes, of --rank R or --energy SHARE. gguf: a LoRA as a file that llama.cpp and Ollama load.',
    },
    ...toLoraOptions,
    ...toGgufOptions,
    model: {
      value: 'BASE',
      help: "With --to: the base model. Default: the one that the adapter's config names; of a whole model it is needed.",
    },
    out: {
      value: 'DIR|FILE',
      required: true,
      help: 'The folder, with --to gguf the file, to write; it must not exist.',
    },
  },
  json: '{ "out", "adapter", "conversion": { "kind", "rank"?, "energy"?, "dtype"?, "architecture"?, "alpha"? }, "tensors", "numbers", "base"?, "modules"?: [{ "path", "rank", "norm"?, "error"? }], "whole"?, "warnings" }',
  jsonForm: 'document',
  examples: [
    'runs/sql/2025-01-31T12-00-00/adapter --rank 2 --out sql-rank-2',
    'runs/full/2025-01-31T12-00-00/model --to lora --energy 0.9 --model models/SmolLM2-135M --out full-as-lora',
    'runs/sql/2025-01-31T12-00-00/adapter --to gguf --out sql.gguf',
  ],
  async run(args, io) {
    const target = targetOf(args);
    refuseIdle(target, args);
    switch (target) {
      case 'lora':
        return convertToLora(args, io);
      case 'gguf':
        return convertToGguf(args, io);
      case 'rank':
        return cutToRank(args, io);
    }
  },
};

/** @throws ProblemError `cli.option-value`, `cli.option-missing` where nothing is named */
function targetOf(args: Arguments): keyof typeof IDLE {
  const to = args.text('to');
  if (to === 'lora' || to === 'gguf') return to;
  if (to !== undefined) {
    fail({ code: 'cli.option-value', message: `--to is "${to}"`, expected: 'lora or gguf' });
  }
  if (args.text('rank') !== undefined) return 'rank';
  return fail({
    code: 'cli.option-missing',
    message: 'the command does not say what the adapter is to become',
    expected: '--rank B, --to lora with --rank or --energy, or --to gguf',
  });
}

/** @throws ProblemError `cli.option-conflict` */
function refuseIdle(target: keyof typeof IDLE, args: Arguments): void {
  const given = IDLE[target].find((name) => args.text(name) !== undefined);
  if (given === undefined) return;
  fail({
    code: 'cli.option-conflict',
    message: `--${given} is given, and does nothing here`,
    expected: target === 'rank' ? '--rank B alone, or --to' : `the options of --to ${target}`,
    mend:
      target === 'gguf'
        ? `Leave --${given} out; to lower the rank, convert with --rank or --to lora first.`
        : `Leave --${given} out.`,
  });
}

async function cutToRank(args: Arguments, io: Io): Promise<number> {
  const conversion = { kind: 'rank', rank: args.number('rank')! } as const;
  const out = path.resolve(args.required('out'));
  const adapter = await openOneAdapter(args.positional(0));
  if (out.startsWith(`${adapter.folder}${path.sep}`)) {
    fail({
      code: 'convert.inside',
      message: `${out} lies in ${adapter.folder}, which is to be converted`,
      expected: 'a folder outside of the adapter',
      mend: 'Name another folder with --out.',
    });
  }
  const converted = await convertAdapter(adapter, conversion);
  io.interrupt.check();
  await writeConverted(out, converted, adapter.folder);
  const { warnings, saved } = converted;
  for (const warning of warnings) io.problem(warning);
  const numbers = saved.tensors.reduce((sum, { data }) => sum + data.length, 0);
  if (args.flag('json')) {
    io.json({ out, adapter: adapter.folder, conversion, tensors: saved.tensors.length, numbers, warnings });
  } else {
    io.line(
      table([
        ['Adapter', out],
        ['From', adapter.folder],
        ['Rank', String(conversion.rank)],
        ['Holds', `${formatCount(numbers)} numbers in ${saved.tensors.length} tensors`],
      ]),
    );
  }
  return DONE;
}
