import * as l10n from '@vscode/l10n';
import { formatCount, formatLoss } from '../../common/format.js';
import { adapterNames } from './names.js';
import { bestAlone, bestTrial, foundTrial } from './record.js';
import type { HeldOutLoss, HubRecord } from './record.js';

/** What is to be known of a search that has ended, in sentences: where the mixture gains nothing, and what its loss is worth. */
export function hubRemarks(record: HubRecord): readonly string[] {
  const isMeasured = bestTrial(record.trials) === undefined || foundTrial(record) !== undefined;
  return [...unusable(record), ...gains(record), ...effort(record), ...(isMeasured ? [worth(record)] : [])];
}

function unusable({ broken = 0 }: HubRecord): readonly string[] {
  if (broken === 0) return [];
  return [
    broken === 1
      ? l10n.t`1 row of the examples could not be used: only the others were searched with.`
      : l10n.t`${formatCount(broken)} rows of the examples could not be used: only the others were searched with.`,
  ];
}

/** Whether the mixture is better on the examples than what needs no search. */
function gains(record: HubRecord): readonly string[] {
  const { trials, compared, adapters } = record;
  if (bestTrial(trials) === undefined) return [l10n.t`No trial has a finite loss: there is no mixture.`];
  const at = foundTrial(record);
  const mixture = at === undefined ? undefined : trials[at]?.loss;
  if (at === undefined || mixture == null) {
    return [l10n.t`The weights were set by hand: what this mixture is worth was not measured.`];
  }
  if (at === 0 || trials[at]!.weights.every((weight) => weight === 0)) {
    return [l10n.t`No mixture was better on the examples than the base model: all weights are 0.`];
  }
  const base = trials[0]?.loss;
  if (base != null && mixture >= base) {
    return [
      l10n.t`The mixture is no better on the examples than the base model: ${formatLoss(mixture)} beside ${formatLoss(base)}.`,
    ];
  }
  const alone = bestAlone(record);
  const single = alone === undefined ? undefined : compared?.alone[alone];
  const average = compared?.average;
  const notes: string[] = [];
  if (alone !== undefined && single != null && mixture >= single) {
    const name = adapterNames(adapters.map(({ folder }) => folder))[alone]!;
    notes.push(
      l10n.t`${name} alone is as good on the examples or better: ${formatLoss(single)}, the mixture ${formatLoss(mixture)}.`,
    );
  }
  if (average != null && mixture >= average) {
    notes.push(
      l10n.t`The average of all is as good on the examples or better: ${formatLoss(average)}, the mixture ${formatLoss(mixture)}.`,
    );
  }
  return notes;
}

/** COBYLA's first n + 1 trials make its simplex. */
function effort({ adapters, budget, trials }: HubRecord): readonly string[] {
  const around = adapters.length + 1;
  const tried = trials.length;
  if (tried > around) {
    return tried < budget
      ? [l10n.t`The search was stopped after ${formatCount(tried)} of ${formatCount(budget)} trials.`]
      : [];
  }
  return [
    l10n.t`With ${adapters.length} adapters the first ${around} trials only look around: more than ${formatCount(tried)} are needed.`,
  ];
}

function worth({ rows, heldOut }: HubRecord): string {
  if (heldOut === undefined) {
    return rows === undefined
      ? l10n.t`The examples were searched with: their loss says little of other rows. Measure the mixture on rows that were held out.`
      : rows === 1
        ? l10n.t`The loss of 1 row that was searched with says little of others. Measure the mixture on rows that were held out.`
        : l10n.t`The loss of ${formatCount(rows)} rows that were searched with says little of others. Measure the mixture on rows that were held out.`;
  }
  const { mixture, base, average, alone } = heldOut;
  const count = formatCount(heldOut.rows);
  const isBetter = (other: HeldOutLoss): boolean => (mixture.loss ?? Infinity) < (other.loss ?? Infinity);
  if (!isBetter(base))
    return l10n.t`On ${count} rows that were held out the mixture is no better than the base model.`;
  if (!isBetter(alone)) {
    return l10n.t`On ${count} rows that were held out the mixture is no better than the adapter that was best alone.`;
  }
  if (!isBetter(average)) {
    return l10n.t`On ${count} rows that were held out the mixture is no better than the average, which needs no search.`;
  }
  return l10n.t`On ${count} rows that were held out the mixture is better than the base model, the best adapter alone and the average.`;
}
