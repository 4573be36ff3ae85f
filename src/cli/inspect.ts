import { inspectAdapter } from '../adapters/inspect.js';
import type { Inspection } from '../adapters/inspect.js';
import { formatCount, formatLoss, formatPercent } from '../common/format.js';
import { isError } from '../common/problem.js';
import { baseOnDisk } from './baseOnDisk.js';
import type { Command } from './command.js';
import { singularValuesText } from '../adapters/singularValuesText.js';
import type { TrainedShare } from '../adapters/trainedShares.js';
import { DONE, UNUSABLE_INPUT } from './exitCode.js';
import { printable } from './styles.js';
import { table } from './table.js';

export const inspect: Command = {
  name: 'inspect',
  summary: 'Show what an adapter holds and what is wrong with it.',
  positionals: [{ name: 'ADAPTER', help: 'an adapter folder (adapter_config.json, adapter_model.safetensors)' }],
  options: {
    model: {
      value: 'BASE',
      help: 'The base model whose shapes the modules have to fit. Default: the one that the adapter names, where it is on this machine.',
    },
  },
  json: '{ "folder", "method", "base", "r", "alpha", "modules": [{ "path", "rank", "scale", "a", "b"?, "trainable", "norm", "effectiveRank"?, "singularValues"?, "energy"?, "energyRank"? }], "factors", "shared", "whole", "trainable", "layers": [{ "name", "trainable", "norm"? }], "kinds", "checkedWith"?, "tensors", "problems" }; of singular values the largest 8, energy is the share of ‖ΔW‖² that the first of them hold, energyRank how many of all hold 90 %; a layer\'s name is "" for what stands beside the layers; an adapter with problems that are errors exits 2',
  jsonForm: 'document',
  examples: ['runs/sql/2025-01-31T12-00-00/adapter', 'my-adapter --json'],
  async run(args, io) {
    const model = args.text('model');
    const found = await inspectAdapter(args.positional(0), (named) => baseOnDisk(model, named));
    io.interrupt.check();
    if (args.flag('json')) io.json(found);
    else io.line(printable(inspectionText(found)));
    for (const problem of found.problems) io.problem(problem);
    return found.problems.some(isError) ? UNUSABLE_INPUT : DONE;
  },
};

/** An inspection as tables. */
function inspectionText(found: Inspection): string {
  const shape = (sizes: readonly number[]): string => `[${sizes.join(', ')}]`;
  const number = (value: number | undefined): string => (value === undefined ? '–' : formatLoss(value));
  const modules = found.modules.map(({ path, rank, scale, a, b, trainable, norm, effectiveRank, ...spectrum }) => [
    path,
    String(rank),
    scale === undefined ? '?' : String(Number(scale.toPrecision(4))),
    ...[a, b].flatMap((sizes) => (sizes === undefined ? [] : [shape(sizes)])),
    formatCount(trainable),
    number(norm),
    effectiveRank === undefined ? '–' : effectiveRank.toFixed(1),
    spectrum.energyRank === undefined ? '–' : String(spectrum.energyRank),
    singularValuesText(spectrum),
  ]);
  const shares = (heading: string, groups: readonly TrainedShare[], nameOf: (name: string) => string): string[] =>
    groups.length < 2
      ? []
      : [
          table(
            groups.map(({ name, trainable, norm }) => [
              nameOf(name),
              formatCount(trainable),
              formatPercent(trainable / found.trainable),
              norm === undefined ? '–' : formatLoss(norm),
            ]),
            [heading, 'TRAINED', 'SHARE', '‖ΔW‖'],
          ),
        ];
  const shared = found.shared.map(({ key, shape: sizes, trainable, modules: by }) => [
    key,
    shape(sizes),
    formatCount(trainable),
    `${formatCount(by.length)} modules`,
  ]);
  const whole = found.whole.map(({ key, shape: sizes, trainable }) => [key, shape(sizes), formatCount(trainable)]);
  return [
    table([
      ['Method', found.method],
      ['Base', found.base ?? 'not named'],
      ...(found.checkedWith === undefined ? [] : [['Shapes', `compared with ${found.checkedWith}`]]),
      // Virtual tokens have no rank.
      ...(found.r === undefined && found.modules.length === 0
        ? []
        : [['r, alpha', `${found.r ?? '?'}, ${found.alpha ?? '?'}`]]),
      ['Trained', `${formatCount(found.trainable)} numbers in ${found.tensors} tensors`],
      ['Health', healthText(found)],
    ]),
    ...(modules.length === 0
      ? []
      : [
          table(modules, [
            'MODULE',
            'RANK',
            'SCALE',
            ...found.factors,
            'TRAINED',
            '‖ΔW‖',
            'EFFECTIVE RANK',
            '90 % RANK',
            'SINGULAR VALUES',
          ]),
        ]),
    ...shares('LAYER', found.layers, (name) => (name === '' ? 'beside the layers' : name)),
    ...shares('KIND', found.kinds, (name) => (name === '' ? 'several' : name)),
    ...(shared.length === 0 ? [] : [table(shared, ['SHARED', 'SHAPE', 'TRAINED', 'BY'])]),
    ...(whole.length === 0 ? [] : [table(whole, ['TRAINED WHOLE', 'SHAPE', 'TRAINED'])]),
  ].join('\n\n');
}

function healthText({ problems }: Inspection): string {
  if (problems.length === 0) return 'no fault found';
  const errors = problems.filter(isError).length;
  const count = (many: number, one: string): string => `${many} ${one}${many === 1 ? '' : 's'}`;
  return [
    ...(errors === 0 ? [] : [count(errors, 'error')]),
    ...(errors === problems.length ? [] : [count(problems.length - errors, 'warning')]),
  ].join(', ');
}
