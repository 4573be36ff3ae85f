import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { stringify } from 'yaml';
import { taskOnBase } from '../adapters/adapterTask.js';
import { combineAdapters } from '../adapters/combining/combine.js';
import { checkMethods } from '../adapters/combining/combineChecks.js';
import type { Combined } from '../adapters/combining/combine.js';
import type { FactorSum } from '../adapters/combining/combineFactors.js';
import { nameOf } from '../adapters/combining/combinedPart.js';
import type { Part } from '../adapters/combining/combinedPart.js';
import { combinedLayers } from '../adapters/combining/combinedLayers.js';
import { checkSameBase, headedAdapter } from '../adapters/sameBase.js';
import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { writeAdapter } from '../adapters/writeAdapter.js';
import { formatCount } from '../common/format.js';
import { fail } from '../common/problem.js';
import { openModel } from '../engines/session.js';
import { breathe } from '../training/job.js';
import { runtimeProducts } from '../runtime/matrixProducts.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import { baseOf } from './adapterBase.js';
import type { Arguments } from './arguments.js';
import { combinedTable } from './combineTables.js';
import { factorSumOf, factorSumOptions, sumText } from './combineOptions.js';
import { partWeightsOf } from './combineWeights.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { hubOf } from './hub.js';
import { namedTwice } from './namedTwice.js';
import { openOneAdapter } from './openOneAdapter.js';
import { refuseInside } from './refuseInside.js';
import { table } from './table.js';

export const combine: Command = {
  name: 'combine',
  summary: 'Add adapters that are differences from one base model into one adapter.',
  positionals: [
    {
      name: 'ADAPTER',
      help: 'adapter folders: of LoRA and what becomes one (AdaLoRA, MELoRA, LoTR, LoKr, MoRA), of LT-SFT, FISH Mask and the like, of BitFit',
      multiple: true,
    },
  ],
  options: {
    out: { value: 'DIR', help: 'The folder to write; it must not exist. Needed but for --preview.' },
    weights: {
      value: 'W,W',
      help: 'What the differences of each adapter are multiplied by, in their order. Default: 1 each.',
    },
    'layer-weights': {
      value: 'LAYERS=W,W',
      multiple: true,
      help: 'Other weights for some layers, 0 too: 0-11=1,0 or 3,5=0.5,1; or for modules by name or pattern, as in rank_pattern: q_proj=1,0. Modules go before layers. May be given several times.',
    },
    ...factorSumOptions,
    preview: { help: 'Only say what would come out, layer by layer and module by module; write nothing.' },
    model: { value: 'BASE', help: "The base model. Default: the one that the adapters' configs name." },
  },
  json: '{ "out", "base", "from": [{ "folder", "peft_type", "weight", "layer_weights"? }], "how": { "sum": { "kind" }, "kept"?, "asPeft"?, "seed" }, "form": "factors" | "places" | "tensors", "numbers", "overlap"?, "modules": [{ "path", "layer", "weights", "size", "rank"?, "numbers", "norms", "norm", "error", "pairs": [{ "adapters", "cosine", "shared", "sharedByChance", "signConflicts" }], "pruned"?: { "numbers", "squares" }, "outvoted"? }], "layers": [{ "name", "layer", "modules", … }], "total", "warnings" }',
  jsonForm: 'document',
  examples: [
    'runs/language/adapter runs/task/adapter --out both',
    'a b --weights 1,0.5 --out half-of-b',
    'a b --how ties --density 0.3 --rank 16 --preview',
    'a b --layer-weights 0-11=1,0 --layer-weights 12-23=0,1 --out lower-of-a-upper-of-b',
  ],
  async run(args, io) {
    const folders = args.rest(0);
    const weights = partWeightsOf(args, folders.length);
    const how = factorSumOf(args);
    const out = outOf(args);
    const parts: Part[] = [];
    for (const [at, folder] of folders.entries()) {
      parts.push({ adapter: await openOneAdapter(folder), ...weights[at]! });
    }
    const named = args.text('model');
    const adapters = parts.map(({ adapter }) => adapter);
    const [first] = adapters as [AdapterOnDisk, ...AdapterOnDisk[]];
    if (out !== undefined)
      await refuseInside(
        out,
        adapters.map(({ folder }) => folder),
      );
    checkMethods(parts);
    const aliases = checkSameBase(adapters, named !== undefined);
    const base = named ?? (await baseOf(first));
    const opened = await openModel(base, 0, hubOf(io), taskOnBase(headedAdapter(adapters) ?? first));
    io.interrupt.check();
    const products = await runtimeProducts(await onnxRuntime());
    const combined = await combineAdapters(parts, opened.context, how, {
      products: products.of,
      async progress(done, total) {
        io.interrupt.check();
        io.progress.update({ activity: l10n.t`Adding updates`, done, total });
        await breathe();
      },
    }).finally(() => products.dispose());
    io.progress.end();
    if (out !== undefined) {
      await writeAdapter(out, combined.saved, { tokenizer: opened.tokenizer, card: cardOf(parts, combined, how) });
    }
    const warnings = [...aliases, ...namedTwice(adapters), ...combined.warnings];
    for (const warning of warnings) io.problem(warning);
    const from = parts.map(({ adapter, weight, layerWeights }) => ({
      folder: adapter.folder,
      peft_type: adapter.peftType,
      weight,
      ...(layerWeights === undefined ? {} : { layer_weights: layerWeights }),
    }));
    const { form, numbers, overlap, modules } = combined;
    if (args.flag('json')) {
      const told = { from, how, form, numbers, overlap, modules, ...combinedLayers(modules), warnings };
      io.json({ out: out ?? null, base: opened.pinned ?? path.resolve(base), ...told });
    } else io.line(combinedText(out, parts, combined, how));
    return DONE;
  },
};

/** The folder to write; undefined where nothing is to be written. @throws ProblemError `cli.option-missing` */
function outOf(args: Arguments): string | undefined {
  if (args.flag('preview')) return undefined;
  const out = args.text('out');
  if (out !== undefined) return path.resolve(out);
  return fail({
    code: 'cli.option-missing',
    message: '`combine` needs --out: The folder to write; it must not exist.',
    expected: '--out DIR, or --preview to see what would come out',
  });
}

function combinedText(
  out: string | undefined,
  parts: readonly Part[],
  { saved, form, numbers, overlap, modules }: Combined,
  how: FactorSum,
): string {
  const whole = saved.config['modules_to_save'];
  const head = table([
    ['Adapter', out ?? 'none is written'],
    ...parts.map((part, at) => [
      at === 0 ? 'Sum of' : '',
      `${weightText(part) === '1' ? '' : `${weightText(part)} × `}${part.adapter.folder} (${part.adapter.peftType})`,
    ]),
    ...(form === 'factors' ? [['How', sumText(how)]] : []),
    [form === 'factors' ? 'Holds' : 'Changes', `${formatCount(numbers)} numbers`],
    ...(Array.isArray(whole) && whole.length > 0 ? [['Whole', whole.join(', ')]] : []),
    ...(overlap === undefined
      ? []
      : [['Overlap', `${formatCount(overlap)} of them are changed by more than one adapter`]]),
  ]);
  return `${head}\n\n${combinedTable(modules)}`;
}

/** `0.5`, `0 (1 in 0-11, 2 in lm_head)` */
function weightText({ weight, layerWeights = {} }: Part): string {
  const own = Object.entries(layerWeights).map(([places, each]) => `${each} in ${places}`);
  return own.length === 0 ? String(weight) : `${weight} (${own.join(', ')})`;
}

function cardOf(parts: readonly Part[], { form, numbers, overlap }: Combined, how: FactorSum): string {
  const list = parts.map(
    (part) => `- ${weightText(part)} × \`${nameOf(part).replaceAll('`', '')}\` (${part.adapter.peftType})`,
  );
  return [
    `---\n${stringify({ tags: ['peft-studio'] })}---\n`,
    '# Sum of adapters\n',
    'Differences from one base model, added by `peft-studio combine`:\n',
    ...list,
    '',
    form !== 'factors' ? '' : `Combined ${sumText(how)}.\n`,
    overlap === undefined
      ? `It holds ${numbers.toLocaleString('en-US')} numbers.\n`
      : `It changes ${numbers.toLocaleString('en-US')} numbers, ${overlap.toLocaleString('en-US')} of which more than one of them changes.\n`,
  ].join('\n');
}
