import * as l10n from '@vscode/l10n';
import type { AdapterComparison, ComparedGroup } from '../adapters/comparing/adapterComparison.js';
import { compareAdapters } from '../adapters/comparing/compareAdapters.js';
import { groupCells, moduleCells } from '../adapters/comparing/comparisonCells.js';
import { formatCount } from '../common/format.js';
import { breathe } from '../training/job.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { printable } from './styles.js';
import { table } from './table.js';

export const compareAdaptersCommand: Command = {
  name: 'compare-adapters',
  summary: 'Lay two adapters side by side, module by module: norms, cosine, signs, principal angles.',
  positionals: [
    { name: 'ONE', help: 'an adapter folder, of LoRA, AdaLoRA, MELoRA or LoTR' },
    { name: 'OTHER', help: 'another of the same base model; ranks and methods may differ' },
  ],
  options: {},
  json: '{ "adapters": [{ "folder", "method", "base", "trainable", "modules" }, …], "modules": [{ "path", "layer", "kind", "shape", "ranks", "norms", "cosine", "signConflicts", "outputs": { "angles", "similarity", "shared", "sharedByChance" }, "inputs" }], "layers": [{ "name", "modules", "norms", "cosine", "signConflicts", "outputs": { "shared", "sharedByChance" }, "inputs" }], "kinds", "total", "alone": [[…], […]], "problems" }; angles in degrees, similarity φ(i, j) of the first i and j directions of ΔW from 1, null where an update is 0',
  jsonForm: 'document',
  examples: ['runs/sql/2025-01-31T12-00-00/adapter other-adapter', 'a b --json'],
  async run(args, io) {
    const found = await compareAdapters([args.positional(0), args.positional(1)], async (done, total) => {
      io.interrupt.check();
      io.progress.update({ activity: l10n.t`Comparing updates`, done, total });
      await breathe();
    });
    io.progress.end();
    if (args.flag('json')) io.json(found);
    else io.line(printable(comparisonText(found)));
    for (const problem of found.problems) io.problem(problem);
    return DONE;
  },
};

function comparisonText({ adapters, modules, layers, kinds, total, alone }: AdapterComparison): string {
  return [
    table(
      adapters.map(({ folder, method, base, trainable, modules: count }, at) => [
        'AB'.charAt(at),
        method,
        formatCount(trainable),
        formatCount(count),
        formatCount(alone[at]!.length),
        base ?? 'not named',
        folder,
      ]),
      ['', 'METHOD', 'TRAINED', 'MODULES', 'ALONE', 'BASE', 'FOLDER'],
    ),
    table(modules.map(moduleCells), [
      'MODULE',
      'RANK A',
      'RANK B',
      '‖ΔW‖ A',
      '‖ΔW‖ B',
      'COSINE',
      'OPPOSITE SIGNS',
      'OUTPUTS',
      'SHARED (CHANCE)',
      'INPUTS',
      'SHARED (CHANCE)',
    ]),
    groupsText('LAYER', layers, total),
    groupsText('KIND', kinds, total),
    [
      'Cosine: ⟨ΔW, ΔW′⟩ / (‖ΔW‖·‖ΔW′‖). Opposite signs: half by chance.',
      'Outputs, inputs: principal angles between the column spaces and between the row spaces of ΔW, smallest and largest.',
      'Shared: the mean of their squared cosines; (by chance: of spaces drawn at random).',
    ].join('\n'),
  ].join('\n\n');
}

function groupsText(heading: string, groups: readonly ComparedGroup[], total: ComparedGroup): string {
  const row = (group: ComparedGroup, name: string): readonly string[] => [name, ...groupCells(group)];
  return table(
    [
      ...groups.map((group) => row(group, group.name === '' ? 'beside the layers' : group.name)),
      row(total, 'all'),
    ],
    [
      heading,
      'MODULES',
      '‖ΔW‖ A',
      '‖ΔW‖ B',
      'COSINE',
      'OPPOSITE SIGNS',
      'SHARED OUTPUTS (CHANCE)',
      'SHARED INPUTS (CHANCE)',
    ],
  );
}
