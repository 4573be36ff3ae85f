import path from 'node:path';
import { convertAdapter, writeConverted } from '../adapters/convert.js';
import type { Conversion } from '../adapters/convert.js';
import { formatCount } from '../common/format.js';
import { fail } from '../common/problem.js';
import { openAdapters } from '../engines/openAdapters.js';
import type { Arguments } from './arguments.js';
import type { Command } from './command.js';
import { convertToLora, toLoraOptions } from './convertToLora.js';
import { DONE } from './exitCode.js';
import { table } from './table.js';

export const convert: Command = {
  name: 'convert',
  summary: 'Write an adapter in another form: a LoRA of a lower rank, or the nearest LoRA to any fine-tune.',
  positionals: [
    { name: 'ADAPTER|MODEL', help: 'an adapter folder; with --to lora also a model that was trained' },
  ],
  options: {
    rank: {
      value: 'B',
      help: 'Keep the first B components of each module. Made for adapters that were trained with dylora, which can be cut to any rank.',
    },
    ...toLoraOptions,
    out: { value: 'DIR', required: true, help: 'The folder to write; it must not exist.' },
  },
  json: '{ "out", "adapter", "conversion": { "kind", "rank" }, "tensors", "numbers", "modules"?: [{ "path", "rank", "norm", "error" }], "whole"?, "warnings" }',
  jsonForm: 'document',
  examples: [
    'runs/sql/2025-01-31T12-00-00/adapter --rank 2 --out sql-rank-2',
    'runs/full/2025-01-31T12-00-00/model --to lora --energy 0.9 --model models/SmolLM2-135M --out full-as-lora',
  ],
  async run(args, io) {
    if (args.text('to') !== undefined) return convertToLora(args, io);
    const conversion = conversionOf(args);
    const out = path.resolve(args.required('out'));
    const { adapters } = await openAdapters(args.positional(0));
    const [adapter, ...others] = adapters;
    if (others.length > 0) {
      fail({
        code: 'convert.several',
        message: `${args.positional(0)} stands for ${adapters.length} adapters`,
        expected: 'the folder of one adapter',
        mend: `Name one of them: ${adapters.map((each) => each.folder).join(', ')}`,
      });
    }
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
  },
};

/** @throws ProblemError `cli.option-missing` where none is named */
function conversionOf(args: Arguments): Conversion {
  const rank = args.number('rank');
  if (rank !== undefined) return { kind: 'rank', rank };
  return fail({
    code: 'cli.option-missing',
    message: 'the command does not say what the adapter is to become',
    expected: '--rank B, or --to lora with --rank or --energy',
  });
}
