// Results as tables for bench/README.md.
import type { Profile } from './profile.js';
import type { Figures } from './sides.js';

export type Pair = { readonly ours: Figures; readonly huggingface: Figures };

export interface Spread {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return {
    median: (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2,
    lowest: sorted[0]!,
    highest: sorted.at(-1)!,
  };
}

const MIB = 2 ** 20;

/** Columns of the table: what is shown, how, and whether a ratio of the sides says something. */
const COLUMNS: readonly {
  readonly title: string;
  readonly of: (figures: Figures) => number;
  readonly digits: number;
  readonly ratio: boolean;
}[] = [
  { title: 'rows/s', of: (each) => each.rowsPerSecond, digits: 2, ratio: true },
  { title: 'supervised tokens/s', of: (each) => each.supervisedTokensPerSecond, digits: 1, ratio: true },
  { title: 'first step (s)', of: (each) => each.firstStep, digits: 2, ratio: true },
  { title: 'whole run (s)', of: (each) => each.total, digits: 1, ratio: true },
  { title: 'peak memory (MiB)', of: (each) => each.peakMemory / MIB, digits: 0, ratio: true },
  { title: 'all processes (MiB)', of: (each) => each.peakAllProcesses / MIB, digits: 0, ratio: true },
  { title: 'held-out loss before', of: (each) => each.lossBefore, digits: 3, ratio: false },
  { title: 'after', of: (each) => each.lossAfter, digits: 3, ratio: false },
  { title: 'tokens right', of: (each) => each.tokenAccuracyAfter, digits: 3, ratio: false },
];

/** One task: medians with ranges, and ours over Hugging Face's, pair by pair. */
export function comparisonTable(task: string, pairs: readonly Pair[]): string {
  const cell = ({ median, lowest, highest }: Spread, digits: number): string => {
    const text = (value: number): string => value.toFixed(digits);
    return lowest === highest ? text(median) : `${text(median)} (${text(lowest)}–${text(highest)})`;
  };
  const side = (name: 'ours' | 'huggingface'): string[] =>
    COLUMNS.map(({ of, digits }) => cell(spread(pairs.map((pair) => of(pair[name]))), digits));
  const ratios = COLUMNS.map(({ of, ratio }) =>
    ratio ? cell(spread(pairs.map((pair) => of(pair.ours) / of(pair.huggingface))), 2) : '',
  );
  return table(
    [task, ...COLUMNS.map(({ title }) => title)],
    [
      ['ours', ...side('ours')],
      ['HF', ...side('huggingface')],
      ['ours / HF', ...ratios],
    ],
  );
}

export function profileTable({ ops, ...whole }: Profile): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const giga = (value: number): string => (value / 1e9).toFixed(0);
  const SHOWN = 12;
  const rest = ops.slice(SHOWN);
  const sum = (of: (each: (typeof ops)[number]) => number): number =>
    rest.reduce((total, each) => total + of(each), 0);
  const rows = [
    ...ops.slice(0, SHOWN),
    ...(rest.length === 0
      ? []
      : [
          { op: 'others', count: sum((e) => e.count), seconds: sum((e) => e.seconds), share: sum((e) => e.share) },
        ]),
  ];
  return [
    `A step of ${giga(whole.productFlops)} GFLOP in matrix products takes ${(1000 * whole.stepSecondsUntraced).toFixed(0)} ms,`,
    `${percent(whole.stepShareOfPeak)} of the ${giga(whole.peakFlopsPerSecond)} GFLOP/s that one large product reaches here; the products alone reach ${percent(whole.productsShareOfPeak)}.`,
    `${whole.nodes.toFixed(0)} nodes:`,
    '',
    table(
      ['op', 'nodes', 'ms', 'share'],
      rows.map(({ op, count, seconds, share }) => [
        op,
        count.toFixed(0),
        (1000 * seconds).toFixed(1),
        percent(share),
      ]),
    ),
  ].join('\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
