import path from 'node:path';
import { formatLoss, formatPercent } from '../common/format.js';
import { fail } from '../common/problem.js';
import type { Example } from '../data/example.js';
import { withPrefix } from '../data/virtualTokens.js';
import { evaluateDecoder } from '../engines/evaluateDecoder.js';
import { checkTokenIds, maskingOf } from '../engines/session.js';
import { virtualTokenIds } from '../models/virtualTokens.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import { createEvaluator } from '../training/evaluate.js';
import type { Metrics } from '../training/evaluate.js';
import { longest } from '../training/job.js';
import type { Arguments } from './arguments.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { planEvaluation, readHeldOut } from './heldOut.js';
import type { EvaluationPlan, HeldOutRows } from './heldOut.js';
import type { Io } from './io.js';
import { RANK_OPTION, mapWeights, openAdapted } from './openAdapted.js';
import type { Adapted } from './openAdapted.js';
import { PROXY_OPTIONS, isAddress, proxySource } from './proxySource.js';
import { table } from './table.js';

export const evaluate: Command = {
  name: 'evaluate',
  summary: 'Measure loss and accuracy of a model, with or without an adapter.',
  positionals: [{ name: 'FILE|MODEL', help: 'a run file (its model and held-out rows) or a model' }],
  options: {
    data: {
      value: 'FILE',
      help: "The rows to evaluate on. Default: the run file's held-out rows; needed for a model.",
    },
    adapter: {
      value: 'DIR',
      help: "An adapter folder to apply to the model, or a run's: all that its methods wrote.",
    },
    task: {
      value: 'NAME',
      help: 'Only rows of this task (data.task_column), with its adapter where a run wrote one per task.',
    },
    rank: RANK_OPTION,
    ...PROXY_OPTIONS,
  },
  json: '{ "model", "adapter", "proxy", "data", "loss", "tokenAccuracy", "rowAccuracy", "macroF1", "rows", "supervisedTokens", "seconds" }',
  jsonForm: 'document',
  examples: [
    'sql.peft.yaml --adapter runs/sql/2025-01-31T12-00-00/adapter',
    'models/SmolLM2-135M --data test.jsonl --json',
  ],
  async run(args, io) {
    const plan = await planEvaluation(args.positional(0), args.text('data'), io);
    const adapter = args.text('adapter');
    const proxied = await evaluateProxied(plan, args, io);
    if (proxied !== undefined) {
      showMetrics(proxied, args, io);
      return DONE;
    }
    const task = args.text('task');
    const own = adapter === undefined ? undefined : task;
    const rank = args.number('rank');
    const adapted = await openAdapted(plan.model, adapter, io, plan.folder, { type: plan.task }, own, rank);
    checkHead(adapted);
    const held = await readHeldOut(plan, adapted.tokenizer, io, adapted.model);
    const { files } = held;
    const rows = task === undefined ? held.examples : rowsOfTask(held, task, adapter !== undefined);
    checkTokenIds(rows, adapted);
    const hooks = adapted.methods.map((method) => method.hooks);
    const examples = withPrefix(rows, (task) => virtualTokenIds(hooks, adapted.model.vocabSize, task));
    const runtime = await onnxRuntime(plan.runtime);
    const weights = await mapWeights(adapted.checkpoint, io);
    const since = performance.now();
    const evaluator = await createEvaluator({
      ...adapted,
      runtime,
      weights,
      positionLimit: longest(examples),
      batchSize: plan.batchSize,
      ...maskingOf(adapted),
    });
    const metrics = await evaluator.evaluate(examples, adapted.values, async (done, total) => {
      io.interrupt.check();
      io.progress.update({ activity: 'Evaluating', done, total });
      return true;
    });
    await evaluator.dispose();
    io.progress.end();
    const found = {
      model: adapted.pinned ?? path.resolve(plan.model),
      ...(adapter === undefined ? {} : { adapter: path.resolve(adapter) }),
      data: files,
      metrics,
      seconds: (performance.now() - since) / 1000,
    };
    showMetrics(found, args, io);
    return DONE;
  },
};

/**
 * The rows of a task; all of them where rows name none, and the task chose an adapter.
 * @throws ProblemError `data.no-task` where none is of it
 */
function rowsOfTask({ examples, tasks }: HeldOutRows, name: string, isAdapters: boolean): readonly Example[] {
  if (tasks.length === 0 && isAdapters) return examples;
  const own = examples.filter(({ task = 0 }) => tasks[task] === name);
  if (tasks.length > 0 && own.length > 0) return own;
  return fail({
    code: 'data.no-task',
    message: `no row to evaluate on is of the task "${name}"`,
    expected:
      tasks.length === 0
        ? 'a run file with data.task_column, which names the task of each row'
        : `one of ${tasks.map((task) => `"${task}"`).join(', ')}`,
    mend: tasks.length === 0 ? 'Leave --task out.' : 'Name one of them with --task.',
  });
}

/** What was measured on what. */
interface Evaluated {
  readonly model: string;
  readonly adapter?: string;
  /** The small tuned model that steered it. */
  readonly proxy?: string;
  readonly data: readonly string[];
  readonly metrics: Metrics;
  readonly seconds: number;
}

/** A base that --proxy steers; undefined where the option is not given. */
async function evaluateProxied(plan: EvaluationPlan, args: Arguments, io: Io): Promise<Evaluated | undefined> {
  const runtime = await onnxRuntime(plan.runtime);
  const source = await proxySource(plan.model, plan.folder, args, runtime, io, ['adapter', 'task', 'rank']);
  if (source === undefined) return undefined;
  if (isAddress(plan.model)) {
    fail({
      code: 'cli.option-value',
      message: `${plan.model} is a server's address`,
      expected:
        'a model on this machine: a server tells its likeliest tokens only, and no loss can be had of those',
      mend: 'Name a model, or use `peft-studio generate` with the server.',
    });
  }
  const { examples, files } = await readHeldOut(plan, source.tokenizer, io);
  const decoder = await source.compile(Math.min(source.maxPositions, source.inFront + longest(examples) + 1));
  const since = performance.now();
  const metrics = await evaluateDecoder(decoder, examples, (done, total) => {
    io.interrupt.check();
    io.progress.update({ activity: 'Evaluating', done, total });
    return Promise.resolve(true);
  });
  await decoder.dispose();
  io.progress.end();
  return {
    model: path.resolve(plan.folder, plan.model),
    proxy: path.resolve(args.required('proxy')),
    data: files,
    metrics,
    seconds: (performance.now() - since) / 1000,
  };
}

/** Scores of a head that starts anew would be those of chance, and the checkpoint holds none of its numbers. */
function checkHead({ model, methods, checkpoint }: Adapted): void {
  if (methods.length > 0 || model.classes === undefined || model.classes.fresh.size === 0) return;
  fail({
    code: 'model.no-head',
    message: 'the checkpoint has no head that tells classes apart',
    where: { file: checkpoint.source },
    expected: `a checkpoint of ${model.classes.transformersClass}, or an adapter with such a head`,
    mend: 'Name an adapter with --adapter DIR.',
  });
}

/** @throws ProblemError `evaluation.non-finite` where there is no loss to show */
function showMetrics({ model, adapter, proxy, data, metrics, seconds }: Evaluated, args: Arguments, io: Io): void {
  if (!Number.isFinite(metrics.loss)) {
    fail({
      code: 'evaluation.non-finite',
      message: `the loss is ${metrics.loss}: numbers of the model are not finite, or grow too large on the way`,
      where: { file: adapter ?? proxy ?? model },
      expected: 'a finite loss',
      mend:
        adapter === undefined && proxy === undefined
          ? 'Look for a better copy of the model.'
          : 'Look at its scale (lora_alpha, alpha) in adapter_config.json, and at its norms with `peft-studio inspect`.',
    });
  }
  if (args.flag('json')) io.json({ model, adapter, proxy, data, ...metrics, seconds });
  else io.line(metricsText(metrics));
}

function metricsText(metrics: Metrics): string {
  if (metrics.macroF1 !== undefined) {
    return table([
      ['Loss', `${formatLoss(metrics.loss)} nats per row`],
      ['Accuracy', formatPercent(metrics.rowAccuracy)],
      ['Macro F1', formatPercent(metrics.macroF1)],
      ['Rows', String(metrics.rows)],
    ]);
  }
  return table([
    ['Loss', `${formatLoss(metrics.loss)} nats per supervised token`],
    ['Token accuracy', formatPercent(metrics.tokenAccuracy)],
    ['Row accuracy', formatPercent(metrics.rowAccuracy)],
    ['Rows', `${metrics.rows} (${metrics.supervisedTokens} supervised tokens)`],
  ]);
}
