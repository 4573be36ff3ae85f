import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { formatBytes, formatCount, formatPercent } from '../common/format.js';
import { runName } from '../config/runName.js';
import type { ComparedMethod, MethodComparison } from '../engines/compareMethods/comparison.js';
import { COMPARISON_SUFFIX, RESULTS, isComparison } from '../engines/compareMethods/comparisonFiles.js';
import { familyName } from '../engines/compareMethods/comparisonPicture.js';
import type { Jobs } from './job.js';
import type { MethodsPage } from './methodsPage.js';
import { targetRunFile } from './targetRunFile.js';

/** Registers Compare Methods, and opening a comparison of the past. */
export function registerCompareMethods(jobs: Jobs, page: MethodsPage): vscode.Disposable {
  return vscode.Disposable.from(
    page,
    vscode.commands.registerCommand('peftStudio.compareMethods', async (target?: unknown, asked?: unknown) => {
      const file = await targetRunFile(target, l10n.t`Compare methods on which run file?`);
      if (file === undefined) return;
      const planned = await jobs.run({
        title: l10n.t`Looking at what the methods make of ${runName(file)}`,
        args: ['compare-methods', file, '--plan'],
      });
      if (!isComparison(planned)) return;
      // Whoever calls the command with arguments is not asked.
      const args = isArguments(asked) ? asked : await askFor(planned);
      if (args !== undefined) await page.run({ file: planned.file, folder: planned.folder, args });
    }),
    vscode.commands.registerCommand('peftStudio.openMethodComparison', async () => {
      const folder = await pastComparison();
      if (folder !== undefined) await page.open(folder);
    }),
  );
}

function isArguments(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

/** What to compare, question by question, as the command's arguments; undefined: cancelled. */
async function askFor(planned: MethodComparison): Promise<readonly string[] | undefined> {
  const methods = await askMethods(planned);
  if (methods === undefined) return undefined;
  const match = await askMatch(planned);
  if (match === undefined) return undefined;
  const rates = await pickOne(3, l10n.t`Which learning rates?`, [
    { label: l10n.t`The usual one of each method`, args: [] },
    {
      label: l10n.t`The best of three: the usual one, three times and ten times as much`,
      detail: l10n.t`By the held-out loss with the first seed.`,
      args: ['--learning-rates=x1,x3,x10'],
    },
  ]);
  if (rates === undefined) return undefined;
  const perSeed = methods.length;
  const tried = rates.length === 0 ? 1 : 3;
  const seeds = await pickOne(
    4,
    l10n.t`How many seeds?`,
    [1, 3, 5].map((count) => ({
      label: count === 1 ? l10n.t`1 seed` : l10n.t`${count} seeds`,
      description: l10n.t`${perSeed * (tried + count - 1)} runs`,
      args: [`--seeds=${count}`],
    })),
  );
  return seeds && [`--methods=${methods.join(',')}`, ...match, ...rates, ...seeds];
}

interface MethodItem extends vscode.QuickPickItem {
  readonly method?: string;
}

/** Those that fit are picked already; the others say why they do not. */
async function askMethods({ methods }: MethodComparison): Promise<readonly string[] | undefined> {
  const families = [...new Set(methods.map(({ family }) => family))];
  const items = families.flatMap((family): MethodItem[] => [
    { label: familyName(family), kind: vscode.QuickPickItemKind.Separator },
    ...methods.filter((each) => each.family === family).map(itemOf),
  ]);
  const picked = await vscode.window.showQuickPick(items, {
    title: titleOf(1),
    placeHolder: l10n.t`Which methods?`,
    canPickMany: true,
    matchOnDescription: true,
    ignoreFocusOut: true,
  });
  const chosen = picked?.flatMap(({ method }) => method ?? []);
  return chosen === undefined || chosen.length === 0 ? undefined : chosen;
}

function itemOf({ method, state, trainable, share, planned, problem }: ComparedMethod): MethodItem {
  if (state !== 'waiting' || trainable === null) {
    return { label: method, method, ...(problem === undefined ? {} : { detail: problem.message }) };
  }
  const [count, part] = [formatCount(trainable), formatPercent(share ?? NaN)];
  const size = l10n.t`${count} numbers train (${part})`;
  return {
    label: method,
    method,
    picked: true,
    description: planned === null ? size : `${size} · ${formatBytes(planned)}`,
  };
}

async function askMatch({ methods }: MethodComparison): Promise<readonly string[] | undefined> {
  const lora = methods.find(({ method }) => method === 'lora');
  const asks = 'share';
  const chosen = await pickOne(2, l10n.t`How large is each method?`, [
    { label: l10n.t`Each at its defaults`, args: [] },
    ...(lora?.trainable == null
      ? []
      : [
          {
            label: l10n.t`As many trainable numbers as LoRA`,
            description: l10n.t`${formatCount(lora.trainable)} numbers`,
            args: ['--match=lora'],
          },
        ]),
    { label: l10n.t`A share of the model…`, args: [asks] },
  ]);
  if (chosen === undefined || chosen[0] !== asks) return chosen;
  const share = await vscode.window.showInputBox({
    title: titleOf(2),
    prompt: l10n.t`What share of the model's numbers is to train, as in 0.5%? Or how many, as in 100000?`,
    value: '0.5%',
    ignoreFocusOut: true,
    validateInput: (text) =>
      /^\s*\d+(\.\d+)?\s*%?\s*$/.test(text) ? undefined : l10n.t`a number, or a share with %`,
  });
  return share === undefined ? undefined : [`--match-trainable=${share.trim()}`];
}

interface ArgumentsItem extends vscode.QuickPickItem {
  readonly args: readonly string[];
}

async function pickOne(
  step: number,
  placeHolder: string,
  items: readonly ArgumentsItem[],
): Promise<readonly string[] | undefined> {
  return (await vscode.window.showQuickPick(items, { title: titleOf(step), placeHolder, ignoreFocusOut: true }))
    ?.args;
}

const STEPS = 4;

function titleOf(step: number): string {
  return l10n.t`Compare Methods (${step} of ${STEPS})`;
}

/** The folder of a comparison in the workspace, picked where there are several, the newest first. */
async function pastComparison(): Promise<string | undefined> {
  const found = await vscode.workspace.findFiles(`**/*${COMPARISON_SUFFIX}/${RESULTS}`, '**/node_modules/**');
  const dated = await Promise.all(
    found.map(async (uri) => ({ uri, time: (await vscode.workspace.fs.stat(uri)).mtime })),
  );
  const items = dated
    .sort((one, other) => other.time - one.time)
    .map(({ uri }) => {
      const folder = path.dirname(uri.fsPath);
      return { label: path.basename(folder), description: vscode.workspace.asRelativePath(folder), folder };
    });
  if (items.length === 0) {
    void vscode.window.showInformationMessage(
      l10n.t`PEFT Studio: no methods have been compared in this workspace yet.`,
    );
    return undefined;
  }
  if (items.length === 1) return items[0]?.folder;
  return (await vscode.window.showQuickPick(items, { title: l10n.t`Open which comparison of methods?` }))?.folder;
}
