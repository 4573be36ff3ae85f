import path from 'node:path';
import { stringify } from 'yaml';
import { loraHub } from '../adapters/loraHub.js';
import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { writeAdapter } from '../adapters/writeAdapter.js';
import { formatLoss } from '../common/format.js';
import { fail } from '../common/problem.js';
import { searchHub } from '../engines/searchHub.js';
import type { HubFound, HubSearch } from '../engines/searchHub.js';
import { checkTokenIds, maskingOf, openModel } from '../engines/session.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import { createEvaluator } from '../training/evaluate.js';
import { longest } from '../training/job.js';
import { baseOf } from './adapterBase.js';
import type { Arguments } from './arguments.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { planEvaluation, readHeldOut } from './heldOut.js';
import { hubOf } from './hub.js';
import { mapWeights } from './openAdapted.js';
import { openOneAdapter } from './openOneAdapter.js';
import { table } from './table.js';

export const compose: Command = {
  name: 'compose',
  summary: 'Mix LoRA adapters for a new task: weights that suit a few examples (LoRAHub).',
  positionals: [{ name: 'ADAPTER', help: 'folders of LoRA adapters of one base model', multiple: true }],
  options: {
    data: { value: 'FILE', required: true, help: 'The few examples of the new task, such as five rows.' },
    out: { value: 'DIR', required: true, help: 'The folder to write; it must not exist.' },
    model: {
      value: 'BASE|FILE',
      help: "The base model, or a run file that says how rows become text. Default: the base that the adapters' configs name.",
    },
    budget: { value: 'N', help: 'How many mixtures to try. Default: 40.' },
    bound: { value: 'W', help: 'Weights stay within ± this. Default: 1.5.' },
    regularization: { value: 'A', help: 'A·mean|w| is added to the loss. Default: 0.05.' },
  },
  json: '{ "out", "base", "data", "adapters": [{ "folder", "weight" }], "start", "loss", "objective", "trials": [{ "weights", "loss", "objective" }], "warnings" }',
  jsonForm: 'document',
  examples: ['runs/imdb/adapter runs/trec/adapter runs/sciq/adapter --data five-rows.jsonl --out mixed'],
  async run(args, io) {
    const search = searchOf(args);
    const out = path.resolve(args.required('out'));
    const adapters: AdapterOnDisk[] = [];
    for (const folder of args.rest(0)) adapters.push(await openOneAdapter(folder));
    const [first] = adapters as [AdapterOnDisk, ...AdapterOnDisk[]];
    const plan = await planEvaluation(args.text('model') ?? (await baseOf(first)), args.required('data'), io);
    const opened = await openModel(plan.model, 0, { ...hubOf(io), folder: plan.folder }, { type: plan.task });
    const hub = await loraHub(adapters, opened.context);
    for (const warning of hub.warnings) io.problem(warning);
    const { examples, files } = await readHeldOut(plan, opened.tokenizer, io, opened.model);
    checkTokenIds(examples, opened);
    const evaluator = await createEvaluator({
      ...opened,
      methods: [hub.method],
      runtime: await onnxRuntime(plan.runtime),
      weights: await mapWeights(opened.checkpoint, io),
      positionLimit: longest(examples),
      batchSize: plan.batchSize,
      ...maskingOf(opened),
    });
    const found = await searchHub(
      hub,
      adapters.length,
      search,
      async (values) => (await evaluator.evaluate(examples, values)).loss,
      async ({ objective }, done) => {
        io.interrupt.check();
        io.progress.update({
          activity: 'Trying mixtures',
          done,
          total: search.budget,
          detail: formatLoss(objective),
        });
        await Promise.resolve();
      },
    ).finally(() => evaluator.dispose());
    io.progress.end();
    const { best, trials } = found;
    const from = adapters.map(({ folder }, at) => ({ folder, weight: best.weights[at]! }));
    await writeAdapter(out, hub.saved(Float64Array.from(best.weights)), {
      tokenizer: opened.tokenizer,
      card: cardOf(from, found, search),
      beside: new Map([
        [RECORD, `${JSON.stringify({ adapters: from, ...search, data: files, trials }, undefined, 1)}\n`],
      ]),
    });
    const start = trials[0]!.loss;
    if (args.flag('json')) {
      const { loss, objective } = best;
      const base = opened.pinned ?? path.resolve(plan.model);
      io.json({ out, base, data: files, adapters: from, start, loss, objective, trials, warnings: hub.warnings });
    } else {
      io.line(
        table([
          ['Adapter', out],
          ...from.map(({ folder, weight }, at) => [
            at === 0 ? 'Mixture of' : '',
            `${weight.toFixed(3)} × ${folder}`,
          ]),
          ['Loss', `${formatLoss(best.loss)} on ${examples.length} rows; the base model ${formatLoss(start)}`],
          ['Tried', `${trials.length} mixtures: ${RECORD} beside the adapter lists them`],
        ]),
      );
    }
    return DONE;
  },
};

/** What was tried, beside the adapter. */
const RECORD = 'lorahub.json';

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

function cardOf(
  from: readonly { readonly folder: string; readonly weight: number }[],
  { best, trials }: HubFound,
  { regularization }: HubSearch,
): string {
  return [
    `---\n${stringify({ library_name: 'peft', tags: ['lora', 'lorahub', 'peft-studio'] })}---\n`,
    '# Mixture of adapters\n',
    'LoRA adapters of one base model, mixed by `peft-studio compose` as LoRAHub does (Huang et al. 2023): (Σ w·B)(Σ w·A).\n',
    ...from.map(
      ({ folder, weight }) =>
        `- ${weight.toFixed(4)} × \`${folder.split(path.sep).slice(-3).join('/').replaceAll('`', '')}\``,
    ),
    '',
    `The weights are the best of ${trials.length} that were tried on a few examples: loss ${best.loss.toFixed(4)} (the base model ${trials[0]!.loss.toFixed(4)}), with ${regularization} · mean |w| added while searching.\n`,
  ].join('\n');
}
