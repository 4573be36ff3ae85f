import path from 'node:path';
import { deltaToBitfit, deltaToSparse } from '../adapters/converting/fromDelta.js';
import { writeAdapter } from '../adapters/writeAdapter.js';
import { formatCount } from '../common/format.js';
import { fail } from '../common/problem.js';
import type { Arguments } from './arguments.js';
import { convertSource } from './convertSource.js';
import { DONE } from './exitCode.js';
import type { Io } from './io.js';
import { table } from './table.js';

/** `convert delta.safetensors --to bitfit|sparse` */
export async function convertFromDelta(kind: 'bitfit' | 'sparse', args: Arguments, io: Io): Promise<number> {
  const out = path.resolve(args.required('out'));
  const { from, delta, opened, base, warnings } = await convertSource(args, io, undefined);
  if (delta === undefined) {
    return fail({
      code: 'convert.no-delta',
      message: `${from} is no delta file`,
      expected: `a .safetensors file that convert --to delta wrote, for --to ${kind}`,
      mend: 'Make one first: --to delta.',
    });
  }
  const saved = await (kind === 'bitfit' ? deltaToBitfit : deltaToSparse)(delta, opened.context);
  const type = String(saved.config['peft_type']);
  await writeAdapter(out, saved, {
    tokenizer: opened.tokenizer,
    card: `# ${type} adapter out of a delta file\n\nThe differences that ${path.basename(from)} has, by \`peft-studio convert\`.\n`,
  });
  const numbers = saved.tensors.reduce((sum, { data }) => sum + data.length, 0);
  if (args.flag('json')) {
    const conversion = { kind, peft_type: type };
    io.json({ out, adapter: from, base, conversion, tensors: saved.tensors.length, numbers, warnings });
  } else {
    io.line(
      table([
        ['Adapter', out],
        ['From', from],
        ['Type', type],
        ['Holds', `${formatCount(numbers)} differences in ${saved.tensors.length} tensors`],
      ]),
    );
  }
  return DONE;
}
