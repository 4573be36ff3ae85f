import * as l10n from '@vscode/l10n';
import { formatLoss } from '../src/common/format.js';
import { adapterNames } from '../src/engines/composition/names.js';
import { bestAlone, foundTrial } from '../src/engines/composition/record.js';
import type { HeldOutLoss, HubRecord } from '../src/engines/composition/record.js';
import type { Curve, Picture } from './curvePictures.js';
import type { HeatMapData } from './heatMapData.js';
import { csvText } from './siteHistory.js';

/** The names of a search's adapters. */
export function namesOf({ adapters }: Pick<HubRecord, 'adapters'>): readonly string[] {
  return adapterNames(adapters.map(({ folder }) => folder));
}

/** `+0.512`, `−1.500`, `0.000`: with a real minus, so that both signs have one width. */
export function signed(weight: number, digits = 3): string {
  const text = Math.abs(weight).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${weight < 0 ? '−' : '+'}${text}`;
}

/** The loss of each trial, with that of the best so far, of the base and of the best adapter alone. */
export function lossPicture(record: HubRecord): Picture {
  const { trials, compared } = record;
  const x = trials.map((_, at) => at + 1);
  const losses = trials.map(({ loss }) => loss ?? NaN);
  let best: number | undefined;
  const bestSoFar = trials.map(({ objective }, at) => {
    if (objective !== null && (best === undefined || objective < (trials[best]?.objective ?? Infinity))) best = at;
    return best === undefined ? NaN : losses[best]!;
  });
  const level = (key: string, name: string, color: string, value: number | null | undefined): Curve[] =>
    value == null || x.length === 0
      ? []
      : [{ key, name, column: key, color, look: 'dashed', x: [1, x.length], y: [value, value] }];
  const alone = bestAlone(record);
  return {
    id: 'mixtures',
    title: l10n.t`Loss of the mixtures`,
    about: l10n.t`mean cross-entropy per supervised token of the examples, in nats`,
    format: formatLoss,
    fromZero: false,
    curves: [
      {
        key: 'loss',
        name: l10n.t`mixture tried`,
        column: 'loss',
        color: 'curve-training',
        look: 'dots',
        x,
        y: losses,
      },
      ...level('base', l10n.t`base model`, 'curve-validation', trials[0]?.loss),
      ...(alone === undefined
        ? []
        : level('alone', l10n.t`${namesOf(record)[alone]!} alone`, 'curve-second', compared?.alone[alone])),
      {
        key: 'best',
        name: l10n.t`best mixture so far`,
        column: 'best',
        color: 'curve-total',
        look: 'line',
        x,
        y: bestSoFar,
      },
    ],
  };
}

/** Columns of the map: more are neither seen nor gone through. */
const MOST_COLUMNS = 200;

/** How many trials a column of the map stands for: it shows the first of them. */
function mapStride({ trials, budget }: Pick<HubRecord, 'trials' | 'budget'>): number {
  return Math.ceil(Math.max(budget, trials.length) / MOST_COLUMNS);
}

/** The weights of the trials: a row for each adapter, a column for each trial, also for those to come; of many every few. */
export function weightMap(record: HubRecord): HeatMapData {
  const { trials, budget, bound } = record;
  const stride = mapStride(record);
  const shown = Array.from(
    { length: Math.ceil(Math.max(budget, trials.length) / stride) },
    (_, column) => column * stride,
  );
  return {
    corner: l10n.t`trial`,
    columns: shown.map((at) => String(at + 1)),
    nameEvery: shown.length > 60 ? 10 : 5,
    range: { smallest: 0, largest: bound },
    middle: 0,
    opens: false,
    hint:
      stride === 1
        ? l10n.t`Point at a cell or use the arrow keys. The best trial is outlined.`
        : l10n.t`One trial of ${stride} is shown. Point at a cell or use the arrow keys.`,
    formatShort: (weight) => signed(weight, 1),
    rows: namesOf(record).map((name, row) => ({
      name,
      cells: shown.map((at) => {
        const value = trials[at]?.weights[row];
        return {
          site: at,
          value,
          label:
            value === undefined
              ? l10n.t`${name}, trial ${at + 1}: not tried yet`
              : l10n.t`${name}, trial ${at + 1}: weight ${signed(value)}, loss ${told(trials[at]?.loss)}`,
        };
      }),
    })),
  };
}

/** A row of the table of losses. */
export interface LossRow {
  readonly kind: 'base' | 'alone' | 'average' | 'mixture';
  readonly name: string;
  /** On the examples; undefined: not measured yet. */
  readonly loss: number | null | undefined;
  readonly heldOut: HeldOutLoss | undefined;
  /** It is the least on the examples. */
  readonly least: boolean;
}

/** What was measured, the mixture first. */
export function lossRows(record: HubRecord): readonly LossRow[] {
  const { trials, compared, heldOut } = record;
  const found = foundTrial(record);
  const rows: Omit<LossRow, 'least'>[] = [
    {
      kind: 'mixture',
      name: l10n.t`Best mixture`,
      loss: found === undefined ? undefined : trials[found]?.loss,
      heldOut: found === undefined ? undefined : heldOut?.mixture,
    },
    { kind: 'base', name: l10n.t`Base model`, loss: trials[0]?.loss, heldOut: heldOut?.base },
    {
      kind: 'average',
      name: l10n.t`Average (1/${record.adapters.length} each)`,
      loss: compared?.average,
      heldOut: heldOut?.average,
    },
    ...namesOf(record).map((name, at) => ({
      kind: 'alone' as const,
      name: l10n.t`${name} alone`,
      loss: compared?.alone[at],
      heldOut: heldOut?.alone.adapter === at ? heldOut.alone : undefined,
    })),
  ];
  const least = Math.min(...rows.map(({ loss }) => loss ?? Infinity));
  return rows.map((row) => ({ ...row, least: row.loss != null && row.loss === least }));
}

/** A loss as it is written; `null`: it is not finite. */
export function told(loss: number | null | undefined): string {
  if (loss === undefined) return '–';
  return loss === null ? l10n.t`not finite` : formatLoss(loss);
}

/** Every trial as CSV (RFC 4180); its head is the same in every language. */
export function trialsCsv(record: HubRecord): string {
  const head = ['trial', 'loss', 'objective', ...record.adapters.map(({ folder }) => csvText(folder))];
  const lines = record.trials.map(({ loss, objective, weights }, at) =>
    [at + 1, loss ?? '', objective ?? '', ...weights].join(','),
  );
  return [head.join(','), ...lines, ''].join('\r\n');
}
