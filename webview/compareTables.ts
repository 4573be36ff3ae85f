import { formatBytes, formatCount, formatDuration, formatLoss } from '../src/common/format.js';
import type { ComparedRun, RunComparison } from '../src/engines/runComparison.js';

/** A table with a column per run. */
export interface CompareTable {
  readonly title: string;
  /** What stands where a table would have no row. */
  readonly empty: string;
  /** The first column's heading. */
  readonly about: string;
  readonly rows: readonly { readonly name: string; readonly values: readonly string[] }[];
}

/** What a run does not have. */
const NONE = '–';

/** The tables of a comparison: results, settings that differ, norms per layer. */
export function compareTables({ runs, settings }: RunComparison): readonly CompareTable[] {
  const row = (name: string, of: (run: ComparedRun) => string | undefined): CompareTable['rows'][number] => ({
    name,
    values: runs.map((run) => of(run) ?? NONE),
  });
  const metrics = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))];
  const layers = [...new Set(runs.flatMap(({ norms = [] }) => norms.map(({ layer }) => layer)))];
  return [
    {
      title: 'Results',
      empty: '',
      about: 'Result',
      rows: [
        row('method', ({ method }) => method),
        row('end', ({ end }) => end),
        row('trainable', ({ trainable }) => shown(trainable, formatCount)),
        row('steps', ({ steps }) => formatCount(steps)),
        row('time of training', ({ seconds }) => formatDuration(seconds)),
        row('peak memory', ({ peakMemory }) => shown(peakMemory, formatBytes)),
        ...metrics.map((name) => row(name, (run) => shown(run.metrics[name], formatLoss))),
      ],
    },
    {
      title: 'Settings that differ',
      empty: 'Their settings are the same.',
      about: 'Setting',
      rows: settings.map(({ key, values }) => ({ name: key, values: values.map((value) => value ?? NONE) })),
    },
    {
      title: 'Norm of the update per layer',
      empty: 'None of them has an adapter whose update has a norm.',
      about: '‖ΔW‖',
      rows: layers.map((layer) =>
        row(layer === undefined ? 'outside the layers' : `layer ${layer}`, ({ norms }) =>
          shown(norms?.find((each) => each.layer === layer)?.norm, formatLoss),
        ),
      ),
    },
  ];
}

function shown(value: number | undefined, format: (value: number) => string): string | undefined {
  return value === undefined ? undefined : format(value);
}
