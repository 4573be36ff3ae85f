import path from 'node:path';
import { stringify } from 'yaml';
import { exactFactors } from '../adapters/converting/exactFactors.js';
import { changedBaseStart } from '../adapters/converting/originalBase.js';
import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { toLora } from '../adapters/converting/toLora.js';
import type { ApproximatedModule, ToLora, Wanted } from '../adapters/converting/toLora.js';
import { writeAdapter } from '../adapters/writeAdapter.js';
import { formatCount, formatPercent } from '../common/format.js';
import { fail } from '../common/problem.js';
import type { Kept } from '../linalg/lowRankFactors.js';
import { runtimeProducts } from '../runtime/matrixProducts.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import { breathe } from '../training/job.js';
import type { Arguments } from './arguments.js';
import { keptOf } from './combineOptions.js';
import type { Option } from './command.js';
import { adapterNamed, convertSource } from './convertSource.js';
import { convertToOriginalBase } from './convertToOriginalBase.js';
import { DONE } from './exitCode.js';
import type { Io } from './io.js';
import { table } from './table.js';

/** Of the nearest LoRA to what training made of a base. */
export const toLoraOptions = {
  initial: {
    value: 'DIR',
    help: 'Of an adapter that PEFT saved unconverted after a start that changed its base (PiSSA, OLoRA, CorDA, LoRA-GA): the folder of the adapter as it was before its first step. Gives a LoRA of twice the rank on the original base. Without it, pissa and olora are found again in the base.',
  },
  energy: {
    value: 'SHARE',
    help: 'With --to lora, instead of a rank: of each matrix as many singular values as have this share of the sum of their squares.',
  },
} as const satisfies Record<string, Option>;

/** `convert … --to lora` */
export async function convertToLora(args: Arguments, io: Io): Promise<number> {
  const kept = keptOf(args);
  const adapter = await adapterNamed(args);
  const initial = args.text('initial');
  const start = adapter && changedBaseStart(adapter);
  if (adapter !== undefined && (initial !== undefined || start !== undefined)) {
    refuseKept(kept);
    return convertToOriginalBase(adapter, args, io);
  }
  if (initial !== undefined) {
    fail({
      code: 'cli.option-conflict',
      message: '--initial is given, and what is converted is no adapter',
      expected: 'the folder of an adapter',
    });
  }
  const factors = kept === undefined ? await factorsOf(adapter, args) : undefined;
  const out = path.resolve(args.required('out'));
  const { from, opened, tuned, base, warnings } = await convertSource(args, io, adapter);
  const products = await runtimeProducts(await onnxRuntime());
  const found = await toLora(tuned(), kept ?? factors!, opened.context, {
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
  const layers = layersOf(modules);
  const numbers = saved.tensors.reduce((sum, { data }) => sum + data.length, 0);
  if (args.flag('json')) {
    const conversion = { kind: 'lora', ...(kept ?? { exact: true }) };
    const lost = lostOf(modules);
    const told = { conversion, tensors: saved.tensors.length, numbers, lost, modules, layers, whole, warnings };
    io.json({ out, adapter: from, base, ...told });
  } else io.line(textOf(out, from, numbers, layers, found));
  return DONE;
}

/**
 * What the updates are products of, where nothing says how much to keep: then nothing is lost.
 * @throws ProblemError `cli.option-missing`, `convert.is-lora`
 */
async function factorsOf(adapter: AdapterOnDisk | undefined, args: Arguments): Promise<Wanted> {
  const factors = adapter && (await exactFactors(adapter));
  if (factors !== undefined) return { factors };
  if (adapter?.peftType === 'LORA') {
    return fail({
      code: 'convert.is-lora',
      message: 'the adapter is a LoRA already',
      where: { file: adapter.configFile },
      expected: '--rank R or --energy SHARE with --to lora, for the nearest of a lower rank',
    });
  }
  return fail({
    code: 'cli.option-missing',
    message: `--to lora needs to know how much to keep of ${path.resolve(args.positional(0))}: its updates are no product of a low rank`,
    expected: '--rank R, or --energy SHARE such as 0.9',
  });
}

/** @throws ProblemError `cli.option-conflict` */
function refuseKept(kept: Kept | undefined): void {
  if (kept === undefined) return;
  fail({
    code: 'cli.option-conflict',
    message:
      'the adapter was trained on a changed base: as a LoRA on the original one it has twice its rank, whatever --rank or --energy say',
    mend: 'Leave them out; then convert what was written, with --to lora and --rank or --energy.',
  });
}

function textOf(
  out: string,
  from: string,
  numbers: number,
  layers: readonly LayerLoss[],
  { modules, whole, saved }: ToLora,
): string {
  return [
    table([
      ['Adapter', out],
      ['From', from],
      ['Holds', `${formatCount(numbers)} numbers in ${saved.tensors.length} tensors`],
      ['Lost', `${formatPercent(lostOf(modules))} of the change of all matrices together`],
      ...(whole.length === 0 ? [] : [['Kept whole', `${whole.length} biases and norms`]]),
    ]),
    '',
    ...(layers.length === 0
      ? []
      : [
          table([
            ['Layer', 'norm', 'lost'],
            ...layers.map(({ layer, norm, error }) => [layer, norm.toPrecision(4), formatPercent(error)]),
          ]),
          '',
        ]),
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

/** What all matrices of a layer changed together, and what of it is lost; outside of the layers by module. */
interface LayerLoss {
  readonly layer: string;
  readonly norm: number;
  readonly error: number;
}

function layersOf(modules: ToLora['modules']): LayerLoss[] {
  const groups = new Map<string, ApproximatedModule[]>();
  for (const module of modules) {
    const layer = /^(.*?\.\d+)\./.exec(module.path)?.[1] ?? module.path;
    groups.set(layer, [...(groups.get(layer) ?? []), module]);
  }
  return [...groups].map(([layer, own]) => ({
    layer,
    norm: Math.hypot(...own.map(({ norm }) => norm)),
    error: lostOf(own),
  }));
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
