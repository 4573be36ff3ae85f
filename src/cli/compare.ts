import { formatBytes, formatCount, formatLoss } from '../common/format.js';
import { compareRuns } from '../engines/compareRuns.js';
import type { ComparedRun, RunComparison } from '../engines/runComparison.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { printable } from './styles.js';
import { table } from './table.js';

export const compare: Command = {
  name: 'compare',
  summary: 'Lay runs side by side: settings that differ, results, norms of their adapters.',
  positionals: [{ name: 'RUN', help: 'folders of 2 to 8 runs, which hold events.jsonl', multiple: true }],
  options: {},
  json: '{ "runs": [{ "folder", "label", "method", "end", "trainable", "steps", "seconds", "peakMemory", "metrics", "loss", "evaluationLoss", "norms", "problems" }], "settings": [{ "key", "values" }] }',
  jsonForm: 'document',
  examples: ['runs/sql/2025-01-31T12-00-00 runs/sql/2025-01-31T13-00-00'],
  async run(args, io) {
    const found = await compareRuns(args.rest(0));
    io.interrupt.check();
    if (args.flag('json')) io.json(found);
    else io.line(printable(comparisonText(found)));
    for (const problem of found.runs.flatMap(({ problems }) => problems)) io.problem(problem);
    return DONE;
  },
};

/** A comparison as tables, a column per run. */
function comparisonText({ runs, settings }: RunComparison): string {
  const heading = (title: string): string[] => [title, ...runs.map(({ label }) => label)];
  const row = (title: string, value: (run: ComparedRun) => string | undefined): string[] => [
    title,
    ...runs.map((run) => value(run) ?? '–'),
  ];
  const metrics = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))];
  const layers = [...new Set(runs.flatMap(({ norms = [] }) => norms.map(({ layer }) => layer)))];
  return [
    table(
      [
        row('method', ({ method }) => method),
        row('end', ({ end }) => end),
        row('trainable', ({ trainable }) => textOf(trainable, formatCount)),
        row('steps', ({ steps }) => String(steps)),
        row('seconds', ({ seconds }) => seconds.toFixed(1)),
        row('peak memory', ({ peakMemory }) => textOf(peakMemory, formatBytes)),
        ...metrics.map((name) => row(name, (run) => textOf(run.metrics[name], formatLoss))),
      ],
      heading('RESULT'),
    ),
    settings.length === 0
      ? 'Their settings are the same.'
      : table(
          settings.map(({ key, values }) => [key, ...values.map((value) => value ?? '–')]),
          heading('SETTING'),
        ),
    ...(layers.length === 0
      ? []
      : [
          table(
            layers.map((layer) =>
              row(layer === undefined ? 'outside' : `layer ${layer}`, ({ norms }) =>
                textOf(norms?.find((each) => each.layer === layer)?.norm, formatLoss),
              ),
            ),
            heading('‖ΔW‖'),
          ),
        ]),
  ].join('\n\n');
}

function textOf(value: number | undefined, format: (value: number) => string): string | undefined {
  return value === undefined ? undefined : format(value);
}
