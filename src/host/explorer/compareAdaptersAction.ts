import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import type { AdapterComparison } from '../../adapters/comparing/adapterComparison.js';
import type { Json } from '../../common/json.js';
import { isJsonObject } from '../../common/json.js';
import type { Jobs } from '../job.js';
import { adapterComparisonText } from './adapterComparisonText.js';
import type { Documents } from './documents.js';
import type { Entry } from './library.js';
import { comparesWith, lookOf } from './present.js';
import { nameOf } from './tryAction.js';

/** Asks which other adapter to lay beside one, and shows both in a document. */
export async function compareTwo(
  { jobs, documents }: { readonly jobs: Jobs; readonly documents: Documents },
  adapter: Entry,
  all: readonly Entry[],
): Promise<void> {
  const { folder } = adapter.item;
  const others = all.filter((other) => comparesWith(adapter, other));
  if (others.length === 0) {
    void vscode.window.showInformationMessage(
      l10n.t`PEFT Studio: there is no other low-rank adapter of the same base model in this workspace.`,
    );
    return;
  }
  others.sort((a, b) => b.item.modified - a.item.modified);
  const other = await vscode.window.showQuickPick(
    others.map((entry) => {
      const { description } = lookOf(entry);
      const { folder: own } = entry.item;
      return { label: nameOf(own), description, detail: vscode.workspace.asRelativePath(own), folder: own };
    }),
    {
      title: l10n.t`Compare ${nameOf(folder)} with`,
      matchOnDescription: true,
      matchOnDetail: true,
    },
  );
  if (other === undefined) return;
  const names = [folder, other.folder].map(nameOf);
  const found = await jobs.run({
    title: l10n.t`Comparing ${names[0]!} with ${names[1]!}`,
    args: ['compare-adapters', folder, other.folder],
  });
  if (!isComparison(found)) return;
  await documents.show(`${l10n.t`Comparison of ${names[0]!} and ${names[1]!}`}.txt`, adapterComparisonText(found));
}

/** The command line is our own program: its adapters and modules are enough to know its document. */
function isComparison(document: Json | undefined): document is Json & AdapterComparison {
  return isJsonObject(document) && Array.isArray(document['adapters']) && Array.isArray(document['modules']);
}
