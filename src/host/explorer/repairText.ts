import * as l10n from '@vscode/l10n';
import type { FaultReport } from '../../adapters/faults/repair.js';
import { isError } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { sentences } from '../../common/sentences.js';

/**
 * What keeps an adapter from loading, as a document of plain text: each fault with its whole difference and its repair.
 * @param report what `repair --json` printed
 */
export function repairText({ folder, checkedWith, faults, rest, repairable }: FaultReport): string {
  const blocks = [
    ...faults.map(({ problem, differences, repair }) => [
      told(problem),
      ...differences.map((line) => `  ${line}`),
      ...(repair === undefined ? [] : [l10n.t`Repair: ${repair}.`]),
    ]),
    ...rest.map((problem) => [told(problem)]),
  ];
  return [
    [
      l10n.t`Folder: ${folder}`,
      checkedWith === undefined
        ? l10n.t`The base model is not on this machine: names and shapes are not compared with it.`
        : l10n.t`Compared with the base model in ${checkedWith}.`,
      repairable
        ? l10n.t`A repaired copy can be written; this folder stays as it is.`
        : blocks.length === 0
          ? l10n.t`Nothing is wrong with it.`
          : l10n.t`There is no repair that could not be wrong: see below what to look at.`,
    ],
    ...blocks.map((block, at) => [`${at + 1}. ${codeOf(at, faults, rest)}`, ...block]),
  ]
    .map((lines) => lines.join('\n'))
    .join('\n\n');
}

function codeOf(at: number, faults: FaultReport['faults'], rest: readonly Problem[]): string {
  return faults[at]?.problem.code ?? rest[at - faults.length]?.code ?? '';
}

function told(problem: Problem): string {
  return isError(problem) ? l10n.t`Error: ${sentences(problem)}` : l10n.t`Warning: ${sentences(problem)}`;
}
