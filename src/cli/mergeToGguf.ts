import { quantizedGgufTypes } from '../adapters/merging/ggufMergePlan.js';
import type { GgufMergeTypes } from '../adapters/merging/ggufMergePlan.js';
import { mergeToGguf } from '../adapters/merging/mergeToGguf.js';
import type { GgufMergeJob, GgufMergeReport } from '../adapters/merging/mergeToGguf.js';
import { formatBytes } from '../common/format.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { FloatType } from '../models/floatBytes.js';
import type { Checkpoint } from '../models/checkpoint.js';
import type { Arguments } from './arguments.js';
import type { Option } from './command.js';
import type { Io } from './io.js';
import { tellMerge } from './tellMerge.js';
import type { MergedFrom } from './tellMerge.js';

/** The type of each tensor in the base. */
const OWN = 'base';

/** Of a merge that writes a GGUF file. */
export const requantizeOption: Option = {
  value: `${OWN}|TYPE`,
  help: `With --out FILE.gguf: quantize what the adapter changes again, to the type that it has in the base (${OWN}) or to ${quantizedGgufTypes().join(', ')}; the share of the update that survives is told. Default: as F16.`,
};

/** Whether the model is to be written as a GGUF file: its name says so. */
function writesGguf(args: Arguments): boolean {
  return args.required('out').toLowerCase().endsWith('.gguf');
}

/**
 * How tensors that an adapter changes are to be written; undefined where a model folder is asked for.
 * @throws ProblemError `cli.option-conflict`, `cli.option-value`
 */
export function ggufTypes(args: Arguments, dtype: FloatType | undefined): GgufMergeTypes | undefined {
  const again = args.text('requantize');
  if (!writesGguf(args)) {
    if (again === undefined) return undefined;
    return fail({
      code: 'cli.option-conflict',
      message: '--requantize is given, and a model folder holds floats',
      expected: '--out FILE.gguf, with a GGUF file as the base',
      mend: 'Leave --requantize out, or name a file that ends in .gguf.',
    });
  }
  if (args.flag('keep-original')) {
    fail({
      code: 'cli.option-conflict',
      message: '--keep-original is given, and a GGUF file holds the merged model alone',
      mend: 'Leave it out, and keep the base: nothing is changed in it.',
    });
  }
  if (again === undefined) return { kind: 'float', dtype };
  if (dtype !== undefined) {
    fail({
      code: 'cli.option-conflict',
      message: '--dtype and --requantize are both given: what the adapter changes is written in one of them',
      expected: 'one of the two',
    });
  }
  if (again === OWN) return { kind: 'requantize' };
  const type = quantizedGgufTypes().find((name) => name === again.toUpperCase());
  if (type !== undefined) return { kind: 'requantize', type };
  return fail({
    code: 'cli.option-value',
    message: `--requantize is "${again}"`,
    expected: `${OWN}, or one of ${quantizedGgufTypes().join(', ')}`,
  });
}

/**
 * The GGUF file that a model was opened from.
 * @throws ProblemError `merge.no-gguf`
 */
export function ggufBase({ format, source }: Checkpoint): string {
  if (format === 'gguf') return source;
  return fail({
    code: 'merge.no-gguf',
    message:
      'a GGUF file is to be written, and the base is a model folder: metadata and tokenizer come from a GGUF base',
    where: { file: source },
    expected: 'a GGUF file as --model',
    mend: "Merge into a folder (--out DIR) and convert that with llama.cpp's convert_hf_to_gguf.py.",
  });
}

/** Merges and prints what was written. @param warnings of what was opened before */
export async function writeMergedGguf(
  job: Omit<GgufMergeJob, 'out' | 'onProgress'>,
  { args, io, told, warnings }: { args: Arguments; io: Io; told: MergedFrom; warnings: readonly Problem[] },
): Promise<number> {
  const report = await mergeToGguf({
    ...job,
    out: args.required('out'),
    onProgress(progress) {
      io.interrupt.check();
      io.progress.update(progress);
    },
  });
  return tellMerge(
    report,
    { told, warnings, weights: weightsText(report), rounding: roundingRows(report) },
    args,
    io,
  );
}

function weightsText({ bytes, tensors }: GgufMergeReport): string {
  const types = [...new Set(tensors.map(({ from, type }) => (from === type ? type : `${from} as ${type}`)))];
  return `${formatBytes(bytes)}, ${tensors.length} tensors changed${types.length > 0 ? `: ${types.join(', ')}` : ''}`;
}

function roundingRows({ roundingDifference, total, tensors }: GgufMergeReport): (readonly [string, string])[] {
  const least = [...tensors].sort((a, b) => a.survived - b.survived)[0];
  return [
    ['Rounding', `moves logits of the file by at most ${roundingDifference.toExponential(1)}`],
    ...(least === undefined
      ? []
      : ([
          [
            'Survives',
            `${share(total.survived)} of the update; its rounding error is ${share(total.error)} of it`,
          ],
          ['Least', `${share(least.survived)} in ${least.name} (${least.type})`],
        ] as const)),
  ];
}

const share = (value: number): string => `${(100 * value).toFixed(1)} %`;
