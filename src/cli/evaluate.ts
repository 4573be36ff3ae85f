import path from 'node:path';
import { formatLoss, formatPercent } from '../common/format.js';
import { withPrefix } from '../data/virtualTokens.js';
import { checkTokenIds } from '../engines/session.js';
import { virtualTokenIds } from '../models/virtualTokens.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import { createEvaluator } from '../training/evaluate.js';
import type { Metrics } from '../training/evaluate.js';
import { longest } from '../training/job.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { planEvaluation, readHeldOut } from './heldOut.js';
import { mapWeights, openAdapted } from './openAdapted.js';
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
    adapter: { value: 'DIR', help: 'An adapter folder to apply to the model.' },
  },
  json: '{ "model", "adapter", "data", "loss", "tokenAccuracy", "rowAccuracy", "rows", "supervisedTokens", "seconds" }',
  jsonForm: 'document',
  examples: [
    'sql.peft.yaml --adapter runs/sql/2025-01-31T12-00-00/adapter',
    'models/SmolLM2-135M --data test.jsonl --json',
  ],
  async run(args, io) {
    const plan = await planEvaluation(args.positional(0), args.text('data'), io);
    const adapter = args.text('adapter');
    const adapted = await openAdapted(plan.model, adapter, io, plan.folder);
    const { examples: rows, files } = await readHeldOut(plan, adapted.tokenizer, io);
    checkTokenIds(rows, adapted);
    const hooks = adapted.methods.map((method) => method.hooks);
    const examples = withPrefix(rows, virtualTokenIds(hooks, adapted.model.vocabSize));
    const runtime = await onnxRuntime(plan.runtime);
    const weights = await mapWeights(adapted.checkpoint, io);
    const since = performance.now();
    const evaluator = await createEvaluator({
      ...adapted,
      runtime,
      weights,
      positionLimit: longest(examples),
      batchSize: plan.batchSize,
    });
    const metrics = await evaluator.evaluate(examples, adapted.values, async (done, total) => {
      io.interrupt.check();
      io.progress.update({ activity: 'Evaluating', done, total });
      return true;
    });
    await evaluator.dispose();
    io.progress.end();
    if (args.flag('json')) {
      io.json({
        model: adapted.pinned ?? path.resolve(plan.model),
        ...(adapter === undefined ? {} : { adapter: path.resolve(adapter) }),
        data: files,
        ...metrics,
        seconds: (performance.now() - since) / 1000,
      });
    } else io.line(metricsText(metrics));
    return DONE;
  },
};

function metricsText(metrics: Metrics): string {
  return table([
    ['Loss', `${formatLoss(metrics.loss)} nats per supervised token`],
    ['Token accuracy', formatPercent(metrics.tokenAccuracy)],
    ['Row accuracy', formatPercent(metrics.rowAccuracy)],
    ['Rows', `${metrics.rows} (${metrics.supervisedTokens} supervised tokens)`],
  ]);
}
