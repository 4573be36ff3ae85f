import path from 'node:path';
import { adapterTask } from '../adapters/adapterTask.js';
import { mergeAdapter } from '../adapters/merging/merge.js';
import type { LaterStage } from '../adapters/merging/mergeLevels.js';
import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { checkSameBase, headedAdapter } from '../adapters/sameBase.js';
import { tokenizerOf } from '../adapters/tokenizerOf.js';
import { formatBytes } from '../common/format.js';
import type { Problem } from '../common/problem.js';
import type { FloatType } from '../models/floatBytes.js';
import { attachAdapters, openAdapters } from '../engines/openAdapters.js';
import type { AdaptersOnDisk } from '../engines/openAdapters.js';
import { openModel } from '../engines/session.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import { baseOf } from './adapterBase.js';
import type { Command } from './command.js';
import { floatType } from './floatType.js';
import { hubOf } from './hub.js';
import { ggufBase, ggufTypes, requantizeOption, writeMergedGguf } from './mergeToGguf.js';
import { namedTwice } from './namedTwice.js';
import { refuseInside } from './refuseInside.js';
import { tellMerge } from './tellMerge.js';

const DTYPES: readonly FloatType[] = ['F32', 'F16', 'BF16'];

export const merge: Command = {
  name: 'merge',
  summary: 'Merge adapters into their base model, verified on logits.',
  positionals: [
    {
      name: 'ADAPTER',
      help: "adapter folders, or runs': all that a run's methods wrote; several are merged one after the other",
      multiple: true,
    },
  ],
  options: {
    out: {
      value: 'DIR|FILE.gguf',
      required: true,
      help: 'The folder to write; by a name that ends in .gguf, of a base that is a GGUF file, a GGUF file. It must not exist.',
    },
    model: { value: 'BASE', help: "The base model. Default: the one that the adapters' configs name." },
    dtype: {
      value: DTYPES.join('|'),
      help: "Type of the weights written. Default: the base's (BF16 for a quantized base). In a GGUF file: of what the adapter changes, by default F16 where it is quantized.",
    },
    requantize: requantizeOption,
    'keep-original': {
      help: 'Keep what the merge changes of the base beside the merged weights: `unmerge` then needs no base.',
    },
  },
  json: '{ "out", "base", "adapters": [{ "folder", "peft_type" }], "verifiedDifference", "roundingDifference", "tied", "tensorsChanged", "dtype", "bytes", "warnings" }',
  jsonForm: 'document',
  examples: [
    'runs/sql/2025-01-31T12-00-00/adapter --out merged',
    'my-adapter --model models/SmolLM2-135M --dtype F32 --out merged',
    'language task --out both --keep-original',
    'my-adapter --model SmolLM2-135M.Q4_1.gguf --out merged.gguf',
    'my-adapter --model SmolLM2-135M.Q4_1.gguf --requantize Q8_0 --out merged.gguf',
  ],
  async run(args, io) {
    const dtype = floatType(args, DTYPES);
    const types = ggufTypes(args, dtype);
    const groups: AdaptersOnDisk[] = [];
    for (const folder of args.rest(0)) groups.push(await openAdapters(folder));
    const adapters = groups.flatMap((group) => group.adapters);
    const [first] = adapters as [AdapterOnDisk, ...AdapterOnDisk[]];
    const from = adapters.map(({ folder, peftType }) => ({ folder, peft_type: peftType }));
    const named = args.text('model');
    const aliases = checkSameBase(adapters, named !== undefined);
    const base = named ?? (await baseOf(first));
    const opened = await openModel(base, 0, hubOf(io), adapterTask(headedAdapter(adapters) ?? first));
    await refuseInside(args.required('out'), [...from.map(({ folder }) => folder), opened.checkpoint.source]);
    const before = groups.flatMap((group) => group.warnings);
    const warnings: Problem[] = [...before, ...aliases, ...namedTwice(adapters)];
    const stageOf = (group: AdaptersOnDisk): LaterStage => {
      return async (made) => {
        const found = await attachAdapters(group, { ...opened.context, ...made });
        warnings.push(...found.warnings);
        return { ...found, from: group.adapters[0].folder };
      };
    };
    const [stage, ...then] = groups.map(stageOf);
    const told = { base: opened.pinned ?? path.resolve(base), adapters: from };
    if (types !== undefined) {
      const file = ggufBase(opened.checkpoint);
      const stages = { ...(await stage!(opened.context)), then };
      const job = { base: file, model: opened.model, ...stages, runtime: await onnxRuntime(), types };
      return writeMergedGguf(job, { args, io, told, warnings });
    }
    const report = await mergeAdapter({
      ...opened,
      tokenizer: await tokenizerOf(adapters, opened.tokenizer, (problem) => warnings.push(problem)),
      ...(await stage!(opened.context)),
      then,
      runtime: await onnxRuntime(),
      out: args.required('out'),
      dtype,
      record: { adapters: adapters.map(({ folder }) => folder), base: told.base },
      keepOriginal: args.flag('keep-original'),
      onProgress(progress) {
        io.interrupt.check();
        io.progress.update(progress);
      },
    });
    const { dtype: written, bytes, tensorsChanged, roundingDifference } = report;
    const weights = `${formatBytes(bytes)} in ${written}, ${tensorsChanged} tensors changed`;
    const rounding = `to ${written} moves logits by at most ${roundingDifference.toExponential(1)}`;
    return tellMerge(
      report,
      { told, warnings, weights, rounding: written === 'F32' ? [] : [['Rounding', rounding]] },
      args,
      io,
    );
  },
};
