import type { Tied } from '../adapters/merging/mergedTensors.js';
import type { Problem } from '../common/problem.js';
import type { Arguments } from './arguments.js';
import { DONE } from './exitCode.js';
import type { Io } from './io.js';
import { table } from './table.js';

/** What was merged, and into what. */
export interface MergedFrom {
  readonly base: string;
  readonly adapters: readonly { readonly folder: string; readonly peft_type: string }[];
}

/** What a merge reports, whatever it has written. */
interface AnyReport {
  readonly out: string;
  readonly verifiedDifference: number;
  readonly tied: Tied;
  readonly warnings: readonly Problem[];
}

/** Prints what a merge has written and how exact it is. */
export function tellMerge(
  report: AnyReport,
  about: {
    readonly told: MergedFrom;
    /** Of what was opened before. */
    readonly warnings: readonly Problem[];
    /** What stands in the table of the weights, and of their rounding. */
    readonly weights: string;
    readonly rounding: readonly (readonly [string, string])[];
  },
  args: Arguments,
  io: Io,
): number {
  io.progress.end();
  const warnings = [...about.warnings, ...report.warnings];
  for (const warning of warnings) io.problem(warning);
  if (args.flag('json')) {
    io.json({ ...report, ...about.told, warnings });
    return DONE;
  }
  const { out, verifiedDifference, tied } = report;
  io.line(
    table([
      ['Merged model', out],
      ...about.told.adapters.map(({ folder, peft_type: type }, at) => [
        at === 0 ? 'Merged' : 'then',
        `${folder} (${type})`,
      ]),
      ['Weights', about.weights],
      [
        'Verified',
        `logits differ by at most ${verifiedDifference.toExponential(1)} from those of base + adapter, in float32`,
      ],
      ...about.rounding,
      ...(tied === 'untied'
        ? [
            [
              'Output layer',
              'no longer shares its matrix with the embedding, since the adapter changed one of them',
            ],
          ]
        : []),
    ]),
  );
  return DONE;
}
