import { formatCount, formatLoss, formatPercent } from '../common/format.js';
import { adapterNames } from '../engines/composition/names.js';
import { foundTrial } from '../engines/composition/record.js';
import type { HeldOutLoss, HubRecord } from '../engines/composition/record.js';
import { hubRemarks } from '../engines/composition/remarks.js';
import { HUB_RECORD } from '../adapters/adapterFiles.js';
import { table } from './table.js';

/** What a search found, for a person: where it is, weights and losses, and what they are worth. */
export function composeText(record: HubRecord, out: string | undefined): string {
  const { adapters, trials, rows } = record;
  const names = adapterNames(adapters.map(({ folder }) => folder));
  const head = table([
    ['Adapter', out ?? 'none is written: --out DIR writes it'],
    ...adapters.map(({ folder, weight }, at) => [
      at === 0 ? 'Mixture of' : '',
      `${weight.toFixed(3)} × ${folder}`,
    ]),
    [
      'Tried',
      `${trials.length} mixtures${out === undefined ? '' : `: ${HUB_RECORD} beside the adapter lists them`}`,
    ],
  ]);
  const lines = lossLines(record, names);
  const columns = [
    `on ${formatCount(rows ?? 0)} rows`,
    ...(record.heldOut === undefined ? [] : ['held out', 'tokens right']),
  ];
  return [head, table(lines, ['Loss', ...columns]), ...hubRemarks(record)].join('\n\n');
}

function lossLines(record: HubRecord, names: readonly string[]): string[][] {
  const { adapters, trials, compared, heldOut } = record;
  const measured = (on: HeldOutLoss | undefined): string[] => {
    if (heldOut === undefined) return [];
    return on === undefined ? ['', ''] : [told(on.loss), formatPercent(on.tokenAccuracy)];
  };
  const found = foundTrial(record);
  return [
    ['base model', told(trials[0]?.loss), ...measured(heldOut?.base)],
    ...adapters.map((_, at) => [
      `${names[at]!} alone`,
      told(compared?.alone[at]),
      ...measured(heldOut?.alone.adapter === at ? heldOut.alone : undefined),
    ]),
    ['average', told(compared?.average), ...measured(heldOut?.average)],
    ...(found === undefined ? [] : [['mixture', told(trials[found]?.loss), ...measured(heldOut?.mixture)]]),
  ];
}

function told(loss: number | null | undefined): string {
  if (loss === undefined) return '';
  return loss === null ? 'not finite' : formatLoss(loss);
}
