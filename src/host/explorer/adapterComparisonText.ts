import * as l10n from '@vscode/l10n';
import type { AdapterComparison, ComparedGroup } from '../../adapters/comparing/adapterComparison.js';
import { groupCells, moduleCells } from '../../adapters/comparing/comparisonCells.js';
import { formatCount } from '../../common/format.js';
import { isError } from '../../common/problem.js';
import { sentences } from '../../common/sentences.js';
import { table, title } from './textTable.js';

/**
 * Two adapters side by side as a document of plain text with aligned columns.
 * @param found what `compare-adapters --json` printed
 */
export function adapterComparisonText({
  adapters,
  modules,
  layers,
  kinds,
  total,
  alone,
  problems,
}: AdapterComparison): string {
  const notes = problems.map((problem) =>
    isError(problem) ? l10n.t`Error: ${sentences(problem)}` : l10n.t`Warning: ${sentences(problem)}`,
  );
  return [
    l10n.t`${title(adapters[0].folder)} (A) and ${title(adapters[1].folder)} (B)`,
    '',
    ...table([
      ['', l10n.t`METHOD`, l10n.t`TRAINED`, l10n.t`MODULES`, l10n.t`ALONE`, l10n.t`BASE MODEL`, l10n.t`FOLDER`],
      ...adapters.map(({ folder, method, base, trainable, modules: count }, at) => [
        'AB'.charAt(at),
        method,
        formatCount(trainable),
        formatCount(count),
        formatCount(alone[at]!.length),
        base ?? l10n.t`not named`,
        folder,
      ]),
    ]),
    ...(notes.length === 0 ? [] : ['', ...notes.map((note) => note.replaceAll('\n', ' '))]),
    '',
    l10n.t`MODULES`,
    '',
    ...table([
      [
        l10n.t`MODULE`,
        l10n.t`RANK A`,
        l10n.t`RANK B`,
        '‖ΔW‖ A',
        '‖ΔW‖ B',
        l10n.t`COSINE`,
        l10n.t`OPPOSITE SIGNS`,
        l10n.t`OUTPUTS`,
        l10n.t`SHARED (CHANCE)`,
        l10n.t`INPUTS`,
        l10n.t`SHARED (CHANCE)`,
      ],
      ...modules.map(moduleCells),
    ]),
    ...groupsText(l10n.t`LAYER`, layers, total),
    ...groupsText(l10n.t`KIND`, kinds, total),
    '',
    l10n.t`Cosine of ΔW and ΔW′ as vectors: 1 the same direction, 0 nothing in common, −1 the opposite.`,
    l10n.t`Opposite signs: the share of numbers that one raises and the other lowers; 50 % by chance.`,
    l10n.t`Outputs and inputs: principal angles between the column spaces and between the row spaces of ΔW, the smallest and the largest.`,
    l10n.t`Shared: the mean of their squared cosines (Hu et al. 2021, eq. 4, of all directions); in brackets that of random spaces.`,
    '',
  ].join('\n');
}

function groupsText(heading: string, groups: readonly ComparedGroup[], total: ComparedGroup): string[] {
  const row = (group: ComparedGroup, name: string): readonly string[] => [name, ...groupCells(group)];
  return [
    '',
    ...table([
      [
        heading,
        l10n.t`MODULES`,
        '‖ΔW‖ A',
        '‖ΔW‖ B',
        l10n.t`COSINE`,
        l10n.t`OPPOSITE SIGNS`,
        l10n.t`SHARED OUTPUTS (CHANCE)`,
        l10n.t`SHARED INPUTS (CHANCE)`,
      ],
      ...groups.map((group) => row(group, group.name === '' ? l10n.t`beside the layers` : group.name)),
      row(total, l10n.t`all`),
    ]),
  ];
}
