import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { hasColumn } from '../engines/playground/setup.js';
import type { PlaygroundAdapter, PlaygroundBase, PlaygroundSetup } from '../engines/playground/setup.js';
import type { Entry } from './explorer/library.js';
import { nameOf } from './explorer/tryAction.js';

/**
 * Asks for an adapter of another, small model, and how strongly it is to steer the open base; undefined: cancelled, or
 * there is none.
 *
 * @param adapters of the workspace
 * @param baseOf the model that an adapter was trained on; asked for where it is not found
 */
export async function steeringAdapter(
  setup: PlaygroundSetup,
  base: PlaygroundBase,
  adapters: readonly Entry[],
  baseOf: (entry: Entry) => Promise<PlaygroundBase | undefined>,
): Promise<PlaygroundAdapter | undefined> {
  const others = adapters
    .filter((entry) => entry.base.key !== base.key)
    .sort((a, b) => b.item.modified - a.item.modified)
    .map((entry) => ({
      label: `$(layers) ${nameOf(entry.item.folder)}`,
      description: entry.base.label,
      detail: vscode.workspace.asRelativePath(entry.item.folder),
      entry,
    }));
  if (others.length === 0) {
    await vscode.window.showInformationMessage(
      l10n.t`PEFT Studio: no adapter of this workspace is of another model than ${base.label}. Train a small model of its family first.`,
    );
    return undefined;
  }
  const title = l10n.t`Playground: which small tuned model steers ${base.label}?`;
  const chosen = await vscode.window.showQuickPick(others, {
    title,
    matchOnDetail: true,
    matchOnDescription: true,
  });
  const small = chosen && (await baseOf(chosen.entry));
  if (chosen === undefined || small === undefined) return undefined;
  const { folder } = chosen.entry.item;
  const steeredAt = (alpha: number): PlaygroundAdapter => ({
    folder,
    name: nameOf(folder),
    steering: { model: small.model, alpha },
  });
  const typed = await vscode.window.showInputBox({
    title: l10n.t`Steer ${base.label} by ${nameOf(folder)}`,
    prompt: l10n.t`α, the factor on what the adapter changed in the small model: 1 as it is, 0 the base model alone`,
    value: '1',
    validateInput(text) {
      const alpha = alphaOf(text);
      if (alpha === undefined) return l10n.t`α is a number.`;
      return hasColumn(setup, steeredAt(alpha)) ? l10n.t`There is a column with this α already.` : undefined;
    },
  });
  const alpha = alphaOf(typed);
  return alpha === undefined ? undefined : steeredAt(alpha);
}

/** What was typed, where it is a number. */
function alphaOf(typed: string | undefined): number | undefined {
  const alpha = Number(typed);
  return typed === undefined || typed.trim() === '' || !Number.isFinite(alpha) ? undefined : alpha;
}
