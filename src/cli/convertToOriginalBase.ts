import path from 'node:path';
import { writeConverted } from '../adapters/converting/convert.js';
import {
  changedBaseStart,
  foundStarts,
  onOriginalBase,
  savedStarts,
} from '../adapters/converting/originalBase.js';
import type { Starts } from '../adapters/converting/originalBase.js';
import { readAdapter } from '../adapters/readAdapter.js';
import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { adapterTask } from '../adapters/adapterTask.js';
import { formatCount } from '../common/format.js';
import { openModel } from '../engines/session.js';
import { runtimeProducts } from '../runtime/matrixProducts.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import { breathe } from '../training/job.js';
import { baseOf } from './adapterBase.js';
import type { Arguments } from './arguments.js';
import { DONE } from './exitCode.js';
import { hubOf } from './hub.js';
import type { Io } from './io.js';
import { refuseInside } from './refuseInside.js';
import { table } from './table.js';

/** `convert … --to lora` of an adapter that was trained on what its start left of the base. */
export async function convertToOriginalBase(adapter: AdapterOnDisk, args: Arguments, io: Io): Promise<number> {
  const out = path.resolve(args.required('out'));
  await refuseInside(out, [adapter.folder]);
  const initial = args.text('initial');
  const { starts, how } =
    initial === undefined
      ? {
          starts: await startsInBase(adapter, args, io),
          how: `found again in the base (${changedBaseStart(adapter)!})`,
        }
      : { starts: await savedStarts(await readAdapter(initial), adapter), how: `from ${path.resolve(initial)}` };
  const { saved, modules } = await onOriginalBase(adapter, starts);
  io.interrupt.check();
  const cardLine =
    'A LoRA on the original base, of twice the rank that was trained: what the start took off the base is part of it. By `peft-studio convert`.';
  await writeConverted(out, { saved, cardLine, warnings: [] }, adapter.folder);
  const numbers = saved.tensors.reduce((sum, { data }) => sum + data.length, 0);
  if (args.flag('json')) {
    const conversion = {
      kind: 'original-base',
      ...(initial === undefined ? {} : { initial: path.resolve(initial) }),
    };
    io.json({
      out,
      adapter: adapter.folder,
      conversion,
      tensors: saved.tensors.length,
      numbers,
      modules,
      warnings: [],
    });
  } else {
    io.line(
      table([
        ['Adapter', out],
        ['From', adapter.folder],
        ['Start', how],
        ['Modules', `${modules.length} without their start, of twice the rank`],
        ['Holds', `${formatCount(numbers)} numbers in ${saved.tensors.length} tensors`],
      ]),
    );
  }
  return DONE;
}

async function startsInBase(adapter: AdapterOnDisk, args: Arguments, io: Io): Promise<Starts> {
  const base = args.text('model') ?? (await baseOf(adapter));
  const { context } = await openModel(base, 0, hubOf(io), adapterTask(adapter));
  const products = await runtimeProducts(await onnxRuntime());
  const starts = await foundStarts(adapter, context, {
    products: products.of,
    async progress(done, total) {
      io.interrupt.check();
      io.progress.update({ activity: 'Finding the start again', done, total });
      await breathe();
    },
  }).finally(() => products.dispose());
  io.progress.end();
  return starts;
}
