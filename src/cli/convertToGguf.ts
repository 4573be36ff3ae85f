import path from 'node:path';
import { adapterTask } from '../adapters/adapterTask.js';
import { attachAdapter } from '../adapters/attachAdapter.js';
import { ggufAdapter } from '../adapters/converting/toGguf.js';
import type { GgufAdapter } from '../adapters/converting/toGguf.js';
import { formatBytes, formatCount } from '../common/format.js';
import { refuseExistingFile } from '../common/wholeFile.js';
import { openModel } from '../engines/session.js';
import { writeGguf } from '../models/writeGguf.js';
import { baseOf } from './adapterBase.js';
import type { Arguments } from './arguments.js';
import type { Option } from './command.js';
import { DONE } from './exitCode.js';
import { floatType } from './floatType.js';
import { hubOf } from './hub.js';
import type { Io } from './io.js';
import { openOneAdapter } from './openOneAdapter.js';
import { refuseInside } from './refuseInside.js';
import { table } from './table.js';

const DTYPES = ['F32', 'F16'] as const;

/** Of a LoRA as llama.cpp loads it. */
export const toGgufOptions = {
  dtype: { value: DTYPES.join('|'), help: 'With --to gguf: the type of the numbers written. Default: F32.' },
} as const satisfies Record<string, Option>;

/** `convert … --to gguf` */
export async function convertToGguf(args: Arguments, io: Io): Promise<number> {
  const dtype = floatType(args, DTYPES) ?? 'F32';
  const out = path.resolve(args.required('out'));
  await refuseExistingFile(out);
  const adapter = await openOneAdapter(args.positional(0));
  await refuseInside(out, [adapter.folder]);
  const base = args.text('model') ?? (await baseOf(adapter));
  const { context, pinned } = await openModel(base, 0, hubOf(io), adapterTask(adapter));
  // What does not fit the base, or is not finite, is found as when the adapter is used.
  const { warnings } = await attachAdapter(adapter, context);
  const found = await ggufAdapter(adapter, context, dtype);
  io.interrupt.check();
  await writeGguf(out, found.metadata, found.tensors);
  for (const warning of warnings) io.problem(warning);
  const { architecture, alpha, modules, tensors } = found;
  const numbers = tensors.reduce((sum, { data }) => sum + data.length, 0);
  if (args.flag('json')) {
    const source = { out, adapter: adapter.folder, base: pinned ?? path.resolve(base) };
    const conversion = { kind: 'gguf', dtype, architecture, alpha };
    io.json({ ...source, conversion, tensors: tensors.length, numbers, modules, warnings });
  } else {
    io.line(
      table([
        ['Adapter', out],
        ['From', adapter.folder],
        ['For', `llama.cpp's ${architecture} models, of the base ${pinned ?? path.resolve(base)}`],
        ['Modules', `${modules.length}, of rank ${ranksText(modules)}`],
        ['Alpha', String(alpha)],
        [
          'Holds',
          `${formatCount(numbers)} numbers in ${tensors.length} tensors, ${formatBytes(numbers * (dtype === 'F32' ? 4 : 2))}`,
        ],
      ]),
    );
  }
  return DONE;
}

/** `8`, or `2 to 8` */
function ranksText(modules: GgufAdapter['modules']): string {
  const ranks = modules.map(({ rank }) => rank);
  const [least, most] = [Math.min(...ranks), Math.max(...ranks)];
  return least === most ? String(least) : `${least} to ${most}`;
}
