import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { formatBytes, formatCount, formatPercent } from '../../common/format.js';
import { isJsonObject } from '../../common/json.js';
import type { JsonObject } from '../../common/json.js';
import type { Jobs } from '../job.js';
import { reveal } from '../places.js';
import { baseArgument } from './baseArgument.js';
import { conversionsOf, isFoundAgain } from './conversions.js';
import type { Conversion } from './conversions.js';
import type { Entry } from './library.js';
import { askOutFolder } from './outFolder.js';
import { nameOf } from './tryAction.js';

/** What is asked before a conversion, beside where to. */
interface Asked {
  readonly args: readonly string[];
  /** What stands behind the adapter's name in the name of what is written. */
  readonly ending: string;
}

/** Asks what an adapter is to become and where to, then converts it as a job. */
export async function convertTo(jobs: Jobs, adapter: Entry): Promise<void> {
  const { item } = adapter;
  if (item.kind !== 'adapter') return;
  const { folder } = item;
  const kinds = conversionsOf(item).map((conversion) => ({ conversion, ...described(conversion) }));
  const chosen = await vscode.window.showQuickPick(kinds, {
    title: l10n.t`Convert ${nameOf(folder)}: what is it to become?`,
    matchOnDetail: true,
    ignoreFocusOut: true,
  });
  if (chosen === undefined) return;
  const { conversion: kind } = chosen;
  const asked = await askMore(kind, item);
  if (asked === undefined) return;
  const base = kind === 'cut' ? {} : await baseArgument(adapter);
  if (base === undefined) return;
  const target = await askOutFolder(
    kind === 'gguf' || kind === 'delta'
      ? l10n.t`Convert ${nameOf(folder)}: the file to write`
      : l10n.t`Convert ${nameOf(folder)}: folder for the adapter`,
    `${folder}-${asked.ending}`,
    l10n.t`It must not exist yet. The adapter stays as it is.`,
  );
  if (target === undefined) return;
  const report = await jobs.run({
    title: l10n.t`Converting ${nameOf(folder)}`,
    args: [
      'convert',
      folder,
      ...asked.args,
      '--out',
      target,
      ...(base.model === undefined ? [] : ['--model', base.model]),
    ],
  });
  if (!isJsonObject(report)) return;
  const reveals = l10n.t`Reveal`;
  const place = vscode.workspace.asRelativePath(target);
  const pressed = await vscode.window.showInformationMessage(
    [l10n.t`PEFT Studio: converted into ${place}.`, ...costOf(kind, report)].join(' '),
    reveals,
  );
  if (pressed === reveals) await reveal(target);
}

function described(kind: Conversion): vscode.QuickPickItem {
  switch (kind) {
    case 'original-base':
      return {
        label: l10n.t`A LoRA on the original base`,
        detail: l10n.t`Of twice the rank. As it is, it fits only what its start left of the base.`,
      };
    case 'exact':
      return {
        label: l10n.t`The same as plain LoRA`,
        detail: l10n.t`Its updates are products of a low rank: nothing is lost.`,
      };
    case 'cut':
      return {
        label: l10n.t`Its first components`,
        detail: l10n.t`A LoRA of a lower rank, made for dylora: what is cut off is not looked at.`,
      };
    case 'rank':
      return {
        label: l10n.t`The nearest LoRA of a rank`,
        detail: l10n.t`The largest singular values of what it changes, so many in each module.`,
      };
    case 'energy':
      return {
        label: l10n.t`The nearest LoRA that keeps a share`,
        detail: l10n.t`In each module as many singular values as have this share of the change.`,
      };
    case 'gguf':
      return {
        label: l10n.t`A GGUF adapter`,
        detail: l10n.t`A file for llama.cpp and Ollama, beside a GGUF file of the same base.`,
      };
    case 'delta':
      return {
        label: l10n.t`A delta file`,
        detail: l10n.t`A safetensors file of what it changes, under the base's own tensor names.`,
      };
  }
}

/** Undefined: that was cancelled. */
async function askMore(kind: Conversion, item: Entry['item'] & { kind: 'adapter' }): Promise<Asked | undefined> {
  const name = nameOf(item.folder);
  switch (kind) {
    case 'original-base':
      return askForStart(name, item.start);
    case 'exact':
      return { args: ['--to', 'lora'], ending: 'lora' };
    case 'gguf':
      return { args: ['--to', 'gguf'], ending: 'lora.gguf' };
    case 'delta':
      return { args: ['--to', 'delta'], ending: 'delta.safetensors' };
    case 'cut':
    case 'rank': {
      const most = item.method === 'lora' ? item.rank : undefined;
      const rank = await askForRank(l10n.t`Convert ${name}: the rank`, most);
      if (rank === undefined) return undefined;
      return { args: [...(kind === 'rank' ? ['--to', 'lora'] : []), '--rank', rank], ending: `rank-${rank}` };
    }
    case 'energy': {
      const share = await askForShare(l10n.t`Convert ${name}: the share that stays`);
      return share === undefined ? undefined : { args: ['--to', 'lora', '--energy', share], ending: 'lora' };
    }
  }
}

async function askForRank(title: string, most: number | undefined): Promise<string | undefined> {
  const answer = await vscode.window.showInputBox({
    title,
    ignoreFocusOut: true,
    validateInput: (value) => {
      const rank = Number(value);
      const fits = Number.isInteger(rank) && rank >= 1 && rank <= (most ?? Infinity);
      if (fits) return undefined;
      return most === undefined
        ? l10n.t`A whole number from 1 up is needed.`
        : l10n.t`A whole number from 1 to ${most} is needed.`;
    },
  });
  return answer === undefined ? undefined : String(Number(answer));
}

async function askForShare(title: string): Promise<string | undefined> {
  const answer = await vscode.window.showInputBox({
    title,
    value: '0.9',
    prompt: l10n.t`Of the sum of the squared singular values of each module.`,
    ignoreFocusOut: true,
    validateInput: (value) => {
      const share = Number(value);
      return share > 0 && share <= 1 ? undefined : l10n.t`A number above 0, at most 1, is needed.`;
    },
  });
  return answer === undefined ? undefined : String(Number(answer));
}

/** The folder of the adapter as it was before its first step, or where the start is found again. */
async function askForStart(name: string, start: string | undefined): Promise<Asked | undefined> {
  const title = l10n.t`Convert ${name}: what did it start from?`;
  const [folder, base] = [
    {
      label: l10n.t`Choose the initial adapter…`,
      detail: l10n.t`The folder that was saved before the first step.`,
    },
    {
      label: l10n.t`Find the start again in the base`,
      detail: l10n.t`The base's weights alone determine it (init_lora_weights: ${start ?? ''}).`,
    },
  ];
  const chosen = isFoundAgain(start)
    ? await vscode.window.showQuickPick([base, folder], { title, ignoreFocusOut: true })
    : folder;
  if (chosen === undefined) return undefined;
  const to = { args: ['--to', 'lora'], ending: 'lora' };
  if (chosen === base) return to;
  const [initial] =
    (await vscode.window.showOpenDialog({
      title: l10n.t`Convert ${name}: the initial adapter`,
      openLabel: l10n.t`Use as Initial Adapter`,
      canSelectFiles: false,
      canSelectFolders: true,
    })) ?? [];
  return initial === undefined ? undefined : { ...to, args: [...to.args, '--initial', initial.fsPath] };
}

/** What the conversion cost, or what the file holds, in sentences. */
function costOf(kind: Conversion, { lost, bytes, numbers, tensors, warnings }: JsonObject): string[] {
  switch (kind) {
    case 'original-base':
    case 'exact':
      return [l10n.t`Nothing of what was learned is lost.`];
    case 'rank':
    case 'energy':
      return typeof lost === 'number'
        ? [l10n.t`Lost: ${formatPercent(lost)} of the change of all matrices together (Frobenius norm).`]
        : [];
    case 'cut':
      return Array.isArray(warnings) && warnings.length > 0
        ? [l10n.t`It was not trained to be cut: measure it before you use it.`]
        : [];
    case 'gguf':
      return typeof numbers === 'number' ? [l10n.t`It holds ${formatCount(numbers)} numbers.`] : [];
    case 'delta':
      return typeof bytes === 'number' && Array.isArray(tensors)
        ? [l10n.t`It changes ${tensors.length} tensors of the base and takes ${formatBytes(bytes)}.`]
        : [];
  }
}
