import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { askOutFolder } from './outFolder.js';

/** What a merge is to write, as the command line takes it. */
export interface MergeForm {
  /** The folder or file. */
  readonly out: string;
  readonly args: readonly string[];
}

/** Asks where to and as what to merge: of a base that is a GGUF file also as one. Undefined: that was cancelled. */
export async function askMergeForm(folder: string, base: string): Promise<MergeForm | undefined> {
  // Of the hub a revision may follow.
  if (!/\.gguf(?:@[^/\\]*)?$/i.test(base)) return askModelFolder(folder);
  const chosen = await vscode.window.showQuickPick(ggufForms(), {
    title: l10n.t`Merge into ${path.basename(base)}: what to write`,
    ignoreFocusOut: true,
  });
  if (chosen === undefined) return undefined;
  if (chosen.args === undefined) return askModelFolder(folder);
  const out = await askOutFolder(
    l10n.t`Merge into Base: the GGUF file to write`,
    `${folder}-merged.gguf`,
    l10n.t`It must not exist yet. The base model stays as it is.`,
  );
  // The ending is what says that it is to be GGUF.
  return out === undefined ? undefined : { out: /\.gguf$/i.test(out) ? out : `${out}.gguf`, args: chosen.args };
}

async function askModelFolder(folder: string): Promise<MergeForm | undefined> {
  const out = await askOutFolder(
    l10n.t`Merge into Base: folder for the merged model`,
    `${folder}-merged`,
    l10n.t`It must not exist yet. The base model stays as it is.`,
  );
  if (out === undefined) return undefined;
  const chosen = await vscode.window.showQuickPick(dtypes(), {
    title: l10n.t`Merge into Base: type of the weights`,
    ignoreFocusOut: true,
  });
  return chosen && { out, args: chosen.dtype === undefined ? [] : ['--dtype', chosen.dtype] };
}

const dtypes = (): readonly (vscode.QuickPickItem & { readonly dtype?: string })[] => [
  { label: l10n.t`As the base`, description: l10n.t`the type that most of its weights have` },
  { label: 'F32', description: l10n.t`exact, the largest`, dtype: 'F32' },
  { label: 'BF16', description: l10n.t`half of the size`, dtype: 'BF16' },
  { label: 'F16', description: l10n.t`half of the size, no numbers above 65,504`, dtype: 'F16' },
];

/** Without arguments: a model folder. */
const ggufForms = (): readonly (vscode.QuickPickItem & { readonly args?: readonly string[] })[] => [
  {
    label: l10n.t`A GGUF file`,
    detail: l10n.t`For llama.cpp and Ollama. What the adapter changes is F16, all else stays as it is.`,
    args: [],
  },
  {
    label: l10n.t`A GGUF file, quantized to Q8_0`,
    detail: l10n.t`In 8 bits, half of that size: rounding about as large as a small update.`,
    args: ['--requantize', 'Q8_0'],
  },
  {
    label: l10n.t`A GGUF file, quantized as the base`,
    detail: l10n.t`As small as the base. A small update is mostly rounded away: what survives is told.`,
    args: ['--requantize', 'base'],
  },
  { label: l10n.t`A model folder`, detail: l10n.t`For Transformers and for training, in floats.` },
];
