import path from 'node:path';
import { stringify } from 'yaml';
import { ADAPTER_CONFIG } from '../adapters/adapterFiles.js';
import { adapterTask } from '../adapters/adapterTask.js';
import { attachAdapter } from '../adapters/attachAdapter.js';
import { readAdapter } from '../adapters/readAdapter.js';
import { toLora, tunedByAdapter, tunedModel } from '../adapters/toLora.js';
import type { ToLora, Tuned } from '../adapters/toLora.js';
import { writeAdapter } from '../adapters/writeAdapter.js';
import { pathKind } from '../common/files.js';
import { formatCount, formatPercent } from '../common/format.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { openModel } from '../engines/session.js';
import type { OpenedModel } from '../engines/session.js';
import { openCheckpoint } from '../models/openCheckpoint.js';
import { runtimeProducts } from '../runtime/matrixProducts.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import { breathe } from '../training/job.js';
import { baseOf } from './adapterBase.js';
import type { Arguments } from './arguments.js';
import { keptOf } from './combineOptions.js';
import type { Option } from './command.js';
import { DONE } from './exitCode.js';
import { hubOf } from './hub.js';
import type { Io } from './io.js';
import { table } from './table.js';

/** Of the nearest LoRA to what training made of a base. */
export const toLoraOptions = {
  energy: {
    value: 'SHARE',
    help: 'With --to lora, instead of a rank: of each matrix as many singular values as have this share of the sum of their squares.',
  },
} as const satisfies Record<string, Option>;

/** The numbers before and after, and the base that they are of. */
interface Source {
  readonly opened: OpenedModel;
  readonly tuned: Tuned;
  readonly base: string;
  readonly warnings: readonly Problem[];
}

/** `convert … --to lora` */
export async function convertToLora(args: Arguments, io: Io): Promise<number> {
  const kept = keptOf(args);
  if (kept === undefined) {
    return fail({
      code: 'cli.option-missing',
      message: '--to lora needs to know how much to keep',
      expected: '--rank R, or --energy SHARE such as 0.9',
    });
  }
  const from = path.resolve(args.positional(0));
  const out = path.resolve(args.required('out'));
  const { opened, tuned, base, warnings } = await sourceOf(from, args.text('model'), io);
  const products = await runtimeProducts(await onnxRuntime());
  const found = await toLora(tuned, kept, opened.context, {
    products: products.of,
    async progress(done, total) {
      io.interrupt.check();
      io.progress.update({ activity: 'Taking weights apart', done, total });
      await breathe();
    },
  }).finally(() => products.dispose());
  io.progress.end();
  await writeAdapter(out, found.saved, { tokenizer: opened.tokenizer, card: cardOf(from, found) });
  for (const warning of warnings) io.problem(warning);
  const { saved, modules, whole } = found;
  const numbers = saved.tensors.reduce((sum, { data }) => sum + data.length, 0);
  if (args.flag('json')) {
    const conversion = { kind: 'lora', ...kept };
    const told = { conversion, tensors: saved.tensors.length, numbers, modules, whole, warnings };
    io.json({ out, adapter: from, base, ...told });
  } else io.line(textOf(out, from, numbers, found));
  return DONE;
}

async function sourceOf(from: string, named: string | undefined, io: Io): Promise<Source> {
  if ((await pathKind(path.join(from, ADAPTER_CONFIG))) === 'file') {
    const adapter = await readAdapter(from);
    const base = named ?? (await baseOf(adapter));
    const opened = await openModel(base, 0, hubOf(io), adapterTask(adapter));
    const { method, values, warnings } = await attachAdapter(adapter, opened.context);
    return { opened, tuned: tunedByAdapter(method, values), base: opened.pinned ?? path.resolve(base), warnings };
  }
  if (named === undefined) {
    return fail({
      code: 'cli.option-missing',
      message: `${from} is no adapter, and a model does not say what it was trained from`,
      mend: 'Name the base model with --model BASE; or name an adapter folder.',
    });
  }
  const tuned = await openCheckpoint(from);
  const opened = await openModel(named, 0, hubOf(io));
  return {
    opened,
    tuned: tunedModel(tuned, opened.model.task),
    base: opened.pinned ?? path.resolve(named),
    warnings: [],
  };
}

function textOf(out: string, from: string, numbers: number, { modules, whole, saved }: ToLora): string {
  return [
    table([
      ['Adapter', out],
      ['From', from],
      ['Holds', `${formatCount(numbers)} numbers in ${saved.tensors.length} tensors`],
      ['Lost', `${formatPercent(lostOf(modules))} of the change of all matrices together`],
      ...(whole.length === 0 ? [] : [['Kept whole', `${whole.length} biases and norms`]]),
    ]),
    '',
    table([
      ['Module', 'rank', 'norm', 'lost'],
      ...modules.map(({ path: name, rank, norm, error }) => [
        name,
        String(rank),
        norm.toPrecision(3),
        formatPercent(error),
      ]),
    ]),
  ].join('\n');
}

/** ‖all that is lost‖ / ‖all that changed‖ */
function lostOf(modules: ToLora['modules']): number {
  const squares = modules.reduce((sum, { norm }) => sum + norm * norm, 0);
  const lost = modules.reduce((sum, { norm, error }) => sum + (norm * error) ** 2, 0);
  return squares === 0 ? 0 : Math.sqrt(lost / squares);
}

function cardOf(from: string, { modules }: ToLora): string {
  const name = from.split(path.sep).slice(-3).join('/').replaceAll('`', '');
  return [
    `---\n${stringify({ library_name: 'peft', tags: ['lora', 'peft-studio'] })}---\n`,
    '# LoRA out of a fine-tune\n',
    `The nearest low-rank matrices to what \`${name}\` changes of its base, by \`peft-studio convert --to lora\`.`,
    `Lost: ${(100 * lostOf(modules)).toPrecision(3)} % of the change (Frobenius norm over all matrices).\n`,
  ].join('\n');
}
