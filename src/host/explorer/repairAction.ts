import path from 'node:path';
import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import type { FoundBase } from '../../adapters/findBase.js';
import type { FaultReport } from '../../adapters/faults/repair.js';
import type { Json } from '../../common/json.js';
import { isJsonObject } from '../../common/json.js';
import type { Jobs } from '../job.js';
import { reveal } from '../places.js';
import type { Documents } from './documents.js';
import { askOutFolder } from './outFolder.js';
import { repairText } from './repairText.js';
import { nameOf } from './tryAction.js';

/** Shows what keeps an adapter from loading, and writes a repaired copy where the user says so. */
export async function repairAdapter(
  { jobs, documents }: { readonly jobs: Jobs; readonly documents: Documents },
  folder: string,
  base?: FoundBase,
): Promise<void> {
  const name = nameOf(folder);
  // A hub's model is found by its name in the config; a path may be seen from another folder than the command's.
  const model = base?.place !== undefined && path.isAbsolute(base.key) ? ['--model', base.place] : [];
  const found = await jobs.run({
    title: l10n.t`Looking for faults of ${name}`,
    args: ['repair', folder, ...model],
  });
  if (!isReport(found)) return;
  await documents.show(`${l10n.t`Faults of ${name}`}.txt`, repairText(found));
  if (!found.repairable) return;
  const write = l10n.t`Write Repaired Copy…`;
  const chosen = await vscode.window.showInformationMessage(
    l10n.t`PEFT Studio: the faults of ${name} can be repaired in a copy; the folder itself stays as it is.`,
    write,
  );
  if (chosen !== write) return;
  const target = await askOutFolder(
    l10n.t`Repair ${name}: folder for the repaired copy`,
    `${folder}-repaired`,
    l10n.t`It must not exist yet. The adapter stays as it is.`,
  );
  if (target === undefined) return;
  const report = await jobs.run({
    title: l10n.t`Writing a repaired copy of ${name}`,
    args: ['repair', folder, ...model, '--out', target],
  });
  if (!isReport(report)) return;
  const reveals = l10n.t`Reveal`;
  const then = await vscode.window.showInformationMessage(
    l10n.t`PEFT Studio: the repaired adapter is in ${vscode.workspace.asRelativePath(target)}. It was opened and checked.`,
    reveals,
  );
  if (then === reveals) await reveal(target);
}

/** The command line is our own program: its folder and faults are enough to know its document. */
function isReport(document: Json | undefined): document is Json & FaultReport {
  return isJsonObject(document) && typeof document['folder'] === 'string' && Array.isArray(document['faults']);
}
