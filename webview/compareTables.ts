import * as l10n from '@vscode/l10n';
import { formatBytes, formatCount, formatDuration, formatLoss } from '../src/common/format.js';
import type { ComparedRun, RunComparison } from '../src/engines/runComparison.js';
import { metricName } from './names.js';

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

const ENDS: Readonly<Record<ComparedRun['end'], () => string>> = {
  completed: () => l10n.t`completed`,
  'early-stopped': () => l10n.t`stopped early`,
  stopped: () => l10n.t`stopped`,
  failed: () => l10n.t`failed`,
  unfinished: () => l10n.t`unfinished`,
};

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
      title: l10n.t`Results`,
      empty: '',
      about: l10n.t`Result`,
      rows: [
        row(l10n.t`method`, ({ method }) => method),
        row(l10n.t`end`, ({ end }) => ENDS[end]()),
        row(l10n.t`trainable`, ({ trainable }) => shown(trainable, formatCount)),
        row(l10n.t`steps`, ({ steps }) => formatCount(steps)),
        row(l10n.t`time of training`, ({ seconds }) => formatDuration(seconds)),
        row(l10n.t`peak memory`, ({ peakMemory }) => shown(peakMemory, formatBytes)),
        ...metrics.map((name) => row(metricName(name), (run) => shown(run.metrics[name], formatLoss))),
      ],
    },
    {
      title: l10n.t`Settings that differ`,
      empty: l10n.t`Their settings are the same.`,
      about: l10n.t`Setting`,
      rows: settings.map(({ key, values }) => ({ name: key, values: values.map((value) => value ?? NONE) })),
    },
    {
      title: l10n.t`Norm of the update per layer`,
      empty: l10n.t`None of them has an adapter whose update has a norm.`,
      about: '‖ΔW‖',
      rows: layers.map((layer) =>
        row(layer === undefined ? l10n.t`outside the layers` : l10n.t`layer ${layer}`, ({ norms }) =>
          shown(norms?.find((each) => each.layer === layer)?.norm, formatLoss),
        ),
      ),
    },
  ];
}

function shown(value: number | undefined, format: (value: number) => string): string | undefined {
  return value === undefined ? undefined : format(value);
}
