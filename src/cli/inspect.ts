import { inspectAdapter } from '../adapters/inspect.js';
import type { Inspection } from '../adapters/inspect.js';
import { formatCount, formatLoss } from '../common/format.js';
import { isError } from '../common/problem.js';
import type { Command } from './command.js';
import { DONE, UNUSABLE_INPUT } from './exitCode.js';
import { printable } from './styles.js';
import { table } from './table.js';

export const inspect: Command = {
  name: 'inspect',
  summary: 'Show what an adapter holds and what is wrong with it.',
  positionals: [{ name: 'ADAPTER', help: 'an adapter folder (adapter_config.json, adapter_model.safetensors)' }],
  options: {},
  json: '{ "folder", "method", "base", "r", "alpha", "modules", "factors", "shared", "whole", "trainable", "tensors", "problems" }; an adapter with problems that are errors exits 2',
  jsonForm: 'document',
  examples: ['runs/sql/2025-01-31T12-00-00/adapter', 'my-adapter --json'],
  async run(args, io) {
    const found = await inspectAdapter(args.positional(0));
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
  const number = (value: number | undefined): string => (value === undefined ? '?' : formatLoss(value));
  const modules = found.modules.map(({ path, rank, scale, a, b, trainable, norm, effectiveRank }) => [
    path,
    String(rank),
    scale === undefined ? '?' : String(Number(scale.toPrecision(4))),
    shape(a),
    shape(b),
    formatCount(trainable),
    number(norm),
    effectiveRank === undefined ? '?' : effectiveRank.toFixed(1),
  ]);
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
      // Virtual tokens have no rank.
      ...(found.r === undefined && found.modules.length === 0
        ? []
        : [['r, alpha', `${found.r ?? '?'}, ${found.alpha ?? '?'}`]]),
      ['Trained', `${formatCount(found.trainable)} numbers in ${found.tensors} tensors`],
    ]),
    ...(modules.length === 0
      ? []
      : [table(modules, ['MODULE', 'RANK', 'SCALE', ...found.factors, 'TRAINED', '‖ΔW‖', 'EFFECTIVE RANK'])]),
    ...(shared.length === 0 ? [] : [table(shared, ['SHARED', 'SHAPE', 'TRAINED', 'BY'])]),
    ...(whole.length === 0 ? [] : [table(whole, ['TRAINED WHOLE', 'SHAPE', 'TRAINED'])]),
  ].join('\n\n');
}
