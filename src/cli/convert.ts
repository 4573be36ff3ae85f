import path from 'node:path';
import { cutAdapter, writeConverted } from '../adapters/converting/convert.js';
import { formatCount } from '../common/format.js';
import { fail } from '../common/problem.js';
import type { Arguments } from './arguments.js';
import type { Command } from './command.js';
import { convertFromDelta } from './convertFromDelta.js';
import { convertToDelta } from './convertToDelta.js';
import { convertToGguf, toGgufOptions } from './convertToGguf.js';
import { convertToLora, toLoraOptions } from './convertToLora.js';
import { DONE } from './exitCode.js';
import type { Io } from './io.js';
import { openOneAdapter } from './openOneAdapter.js';
import { refuseInside } from './refuseInside.js';
import { table } from './table.js';

/** Options that do nothing for what the adapter is to become. */
const IDLE = {
  lora: ['dtype'],
  gguf: ['rank', 'energy', 'initial'],
  delta: ['rank', 'energy', 'initial', 'dtype'],
  bitfit: ['rank', 'energy', 'initial', 'dtype'],
  sparse: ['rank', 'energy', 'initial', 'dtype'],
  rank: ['energy', 'initial', 'model', 'dtype'],
} as const;
type Target = keyof typeof IDLE;

/** What `--to` names. */
const NAMED = ['lora', 'gguf', 'delta', 'bitfit', 'sparse'] as const satisfies readonly Target[];

export const convert: Command = {
  name: 'convert',
  summary:
    'Write an adapter in another form: plain LoRA, a lower rank, a GGUF file for llama.cpp, a file of differences from the base.',
  positionals: [
    {
      name: 'SOURCE',
      help: 'An adapter folder; with --to lora and --to delta also a model that was trained (a folder or a GGUF file); a delta file.',
    },
  ],
  options: {
    rank: {
      value: 'B',
      help: 'Keep the first B components of each module. Made for adapters that were trained with dylora, which can be cut to any rank.',
    },
    to: {
      value: NAMED.join('|'),
      help: "lora: exactly, where the updates are products of a low rank (AdaLoRA, MELoRA, LoTR, and what PEFT saved after a start that changed its base); else the nearest LoRA, of --rank R or --energy SHARE, to any adapter that can be merged, a whole model, or a delta file. gguf: a LoRA as a file that llama.cpp and Ollama load. delta: a safetensors file of what an adapter or a model changes of its base, under the base's own names. bitfit, sparse: such a file as an adapter again.",
    },
    ...toLoraOptions,
    ...toGgufOptions,
    model: {
      value: 'BASE',
      help: "With --to: the base model. Default: the one that the adapter's config or the delta file names; of a whole model it is needed.",
    },
    out: {
      value: 'DIR|FILE',
      required: true,
      help: 'The folder, with --to gguf and --to delta the file, to write; it must not exist.',
    },
  },
  json: '{ "out", "adapter", "conversion": { "kind", "rank"?, "energy"?, "exact"?, "initial"?, "dtype"?, "architecture"?, "alpha"?, "base_sha256"?, "peft_type"? }, "tensors", "numbers"?, "base"?, "lost"?, "modules"?: [{ "path", "rank", "norm"?, "error"? }], "layers"?: [{ "layer", "norm", "error" }], "whole"?, "bytes"?, "norm"?, "warnings" }; of a delta "tensors" is a list: [{ "name", "kind", "numbers", "of", "norm" }]',
  jsonForm: 'document',
  examples: [
    'runs/sql/2025-01-31T12-00-00/adapter --rank 2 --out sql-rank-2',
    'runs/adalora/2025-01-31T12-00-00/adapter --to lora --out adalora-as-lora',
    'runs/full/2025-01-31T12-00-00/model --to lora --energy 0.9 --model models/SmolLM2-135M --out full-as-lora',
    'pissa-adapter --initial pissa-start --out pissa-as-lora',
    'runs/sql/2025-01-31T12-00-00/adapter --to gguf --out sql.gguf',
    'runs/bitfit/2025-01-31T12-00-00/adapter --to delta --out biases.safetensors',
    'biases.safetensors --to bitfit --out biases-again',
  ],
  async run(args, io) {
    const target = targetOf(args);
    refuseIdle(target, args);
    switch (target) {
      case 'lora':
        return convertToLora(args, io);
      case 'gguf':
        return convertToGguf(args, io);
      case 'delta':
        return convertToDelta(args, io);
      case 'bitfit':
      case 'sparse':
        return convertFromDelta(target, args, io);
      case 'rank':
        return cutToRank(args, io);
    }
  },
};

/** @throws ProblemError `cli.option-value`, `cli.option-missing` where nothing is named */
function targetOf(args: Arguments): Target {
  const to = args.text('to');
  const named = NAMED.find((each) => each === to);
  if (named !== undefined) return named;
  if (to !== undefined) {
    fail({ code: 'cli.option-value', message: `--to is "${to}"`, expected: `one of ${NAMED.join(', ')}` });
  }
  if (args.text('initial') !== undefined) return 'lora';
  if (args.text('rank') !== undefined) return 'rank';
  return fail({
    code: 'cli.option-missing',
    message: 'the command does not say what the adapter is to become',
    expected: `--rank B, --initial DIR, or --to with one of ${NAMED.join(', ')}`,
  });
}

/** @throws ProblemError `cli.option-conflict` */
function refuseIdle(target: Target, args: Arguments): void {
  const given = IDLE[target].find((name) => args.text(name) !== undefined);
  if (given === undefined) return;
  fail({
    code: 'cli.option-conflict',
    message: `--${given} is given, and does nothing here`,
    expected: target === 'rank' ? '--rank B alone, or --to' : `the options of --to ${target}`,
    mend:
      target === 'gguf' && given !== 'initial'
        ? `Leave --${given} out; to lower the rank, convert with --rank or --to lora first.`
        : `Leave --${given} out.`,
  });
}

async function cutToRank(args: Arguments, io: Io): Promise<number> {
  const rank = args.number('rank')!;
  const adapter = await openOneAdapter(args.positional(0));
  const out = path.resolve(args.required('out'));
  await refuseInside(out, [adapter.folder]);
  const converted = await cutAdapter(adapter, rank);
  io.interrupt.check();
  await writeConverted(out, converted, adapter.folder);
  const { warnings, saved } = converted;
  for (const warning of warnings) io.problem(warning);
  const numbers = saved.tensors.reduce((sum, { data }) => sum + data.length, 0);
  if (args.flag('json')) {
    io.json({
      out,
      adapter: adapter.folder,
      conversion: { kind: 'rank', rank },
      tensors: saved.tensors.length,
      numbers,
      warnings,
    });
  } else {
    io.line(
      table([
        ['Adapter', out],
        ['From', adapter.folder],
        ['Rank', String(rank)],
        ['Holds', `${formatCount(numbers)} numbers in ${saved.tensors.length} tensors`],
      ]),
    );
  }
  return DONE;
}
