import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { isJsonObject } from '../../common/json.js';
import { codeBlock } from '../../language/modelText.js';
import type { Jobs } from '../job.js';
import { baseArgument } from './baseArgument.js';
import type { Documents } from './documents.js';
import type { Entry } from './library.js';

const MAX_NEW_TOKENS = 128;
const LAST_PROMPT = 'peftStudio.lastPrompt';

/** Asks for a prompt and shows what base + adapter answer; the answers of an adapter gather in one document. */
export async function tryIt(
  parts: { readonly jobs: Jobs; readonly documents: Documents; readonly memory: vscode.Memento },
  adapter: Entry,
): Promise<void> {
  const { jobs, documents, memory } = parts;
  const { folder, base } = adapter.item;
  const found = await baseArgument(adapter);
  if (found === undefined) return;
  const model = found.model ?? base;
  if (model === undefined) return;
  const prompt = await vscode.window.showInputBox({
    title: l10n.t`Try ${nameOf(folder)} on ${adapter.base.label}`,
    prompt: l10n.t`The text to continue, as the training rows have it; ${'\\n'} stands for a line break. Up to ${MAX_NEW_TOKENS} tokens follow, the most likely ones.`,
    value: memory.get<string>(LAST_PROMPT, ''),
    ignoreFocusOut: true,
  });
  if (prompt === undefined || prompt === '') return;
  await memory.update(LAST_PROMPT, prompt);
  const answer = await jobs.run({
    title: l10n.t`Trying ${nameOf(folder)}`,
    args: ['generate', model, '--adapter', folder, '--prompt', '-', '--max-new-tokens', String(MAX_NEW_TOKENS)],
    input: prompt.replaceAll('\\n', '\n'),
  });
  if (!isJsonObject(answer) || typeof answer['text'] !== 'string') return;
  const title = l10n.t`Try ${nameOf(folder)}`;
  const name = `${title}.md`;
  const { text, tokens, seconds, reason } = answer;
  const facts = [
    l10n.t`${String(tokens)} tokens`,
    ...(typeof seconds === 'number' ? [`${seconds.toFixed(1)} s`] : []),
    reason === 'length' ? l10n.t`cut at ${MAX_NEW_TOKENS} tokens` : l10n.t`to its end`,
  ];
  const entry = [
    `## ${l10n.t`Prompt`}`,
    '',
    codeBlock(prompt.replaceAll('\\n', '\n'), 'text'),
    '',
    `## ${l10n.t`Answer (${facts.join(', ')})`}`,
    '',
    codeBlock(text, 'text'),
    '',
  ].join('\n');
  const before = documents.text(name);
  await documents.show(name, before === undefined ? `# ${title}\n\n${entry}` : `${before}\n---\n\n${entry}`);
}

/** A run's adapter by its run's name. */
export function nameOf(folder: string): string {
  const name = path.basename(folder);
  const [run, time] = [path.basename(path.dirname(path.dirname(folder))), path.basename(path.dirname(folder))];
  return name === 'adapter' ? `${run} ${time}` : name;
}
