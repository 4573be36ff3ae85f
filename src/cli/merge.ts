import path from 'node:path';
import { adapterTask } from '../adapters/adapterTask.js';
import { mergeAdapter } from '../adapters/merge.js';
import type { MergeReport } from '../adapters/merge.js';
import { formatBytes } from '../common/format.js';
import type { FloatType } from '../models/floatBytes.js';
import { attachAdapters, openAdapters } from '../engines/openAdapters.js';
import { openModel } from '../engines/session.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import { baseOf } from './adapterBase.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { floatType } from './floatType.js';
import { hubOf } from './hub.js';
import { table } from './table.js';

const DTYPES: readonly FloatType[] = ['F32', 'F16', 'BF16'];

export const merge: Command = {
  name: 'merge',
  summary: 'Merge an adapter into its base model, verified on logits.',
  positionals: [{ name: 'ADAPTER', help: "an adapter folder, or a run's: all that its methods wrote" }],
  options: {
    out: { value: 'DIR', required: true, help: 'The folder to write; it must not exist.' },
    model: { value: 'BASE', help: "The base model. Default: the one that the adapter's config names." },
    dtype: {
      value: DTYPES.join('|'),
      help: "Type of the weights written. Default: the base's (BF16 for a quantized base).",
    },
  },
  json: '{ "out", "base", "verifiedDifference", "roundingDifference", "tied", "tensorsChanged", "dtype", "bytes", "warnings" }',
  jsonForm: 'document',
  examples: [
    'runs/sql/2025-01-31T12-00-00/adapter --out merged',
    'my-adapter --model models/SmolLM2-135M --dtype F32 --out merged',
  ],
  async run(args, io) {
    const dtype = floatType(args, DTYPES);
    const onDisk = await openAdapters(args.positional(0));
    const [first] = onDisk.adapters;
    const base = args.text('model') ?? (await baseOf(first));
    const opened = await openModel(base, 0, hubOf(io), adapterTask(first));
    const { methods, values, warnings } = await attachAdapters(onDisk, opened.context);
    const report = await mergeAdapter({
      ...opened,
      methods,
      values,
      runtime: await onnxRuntime(),
      out: args.required('out'),
      dtype,
      record: { adapters: onDisk.adapters.map(({ folder }) => folder), base: opened.pinned ?? path.resolve(base) },
      onProgress(progress) {
        io.interrupt.check();
        io.progress.update(progress);
      },
    });
    io.progress.end();
    const allWarnings = [...onDisk.warnings, ...warnings, ...report.warnings];
    for (const warning of allWarnings) io.problem(warning);
    if (args.flag('json'))
      io.json({ ...report, base: opened.pinned ?? path.resolve(base), warnings: allWarnings });
    else io.line(mergeText(report));
    return DONE;
  },
};

/** What was written and how exact it is. */
function mergeText(report: MergeReport): string {
  const { out, dtype, bytes, tensorsChanged, verifiedDifference, roundingDifference, tied } = report;
  return table([
    ['Merged model', out],
    ['Weights', `${formatBytes(bytes)} in ${dtype}, ${tensorsChanged} tensors changed`],
    [
      'Verified',
      `logits differ by at most ${verifiedDifference.toExponential(1)} from those of base + adapter, in float32`,
    ],
    ...(dtype === 'F32'
      ? []
      : [['Rounding', `to ${dtype} moves logits by at most ${roundingDifference.toExponential(1)}`]]),
    ...(tied === 'untied'
      ? [['Output layer', 'no longer shares its matrix with the embedding, since the adapter changed one of them']]
      : []),
  ]);
}
