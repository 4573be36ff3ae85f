import * as l10n from '@vscode/l10n';
import { formatCount } from '../src/common/format.js';
import type { Answer, Generations } from '../src/training/events.js';

/** `Step 40: 2 of 3 answers as expected`. */
export function answersSummary({ step, rows }: Generations): string {
  const right = rows.filter(({ matches }) => matches).length;
  return l10n.t`${stepName(step)}: ${right} of ${rows.length} answers as expected`;
}

/** How an answer compares with its reference, in words. */
export function verdictOf({ matches, cut }: Answer): string {
  if (matches) return l10n.t`as expected`;
  return cut ? l10n.t`not as expected, and cut before its end` : l10n.t`not as expected`;
}

/** An answer as it is drawn: white space alone is seen, too. */
export function drawnAnswer(text: string): string {
  return text.trim() === '' ? l10n.t`(empty)` : text.trim();
}

export function stepName(step: number): string {
  return step === 0 ? l10n.t`Before the first step` : l10n.t`Step ${formatCount(step)}`;
}

/** The answer to the row with which an answer of another evaluation is compared: a resumed run may ask others. */
export function sameRow({ rows }: Generations, { line, prompt }: Answer): Answer | undefined {
  return rows.find((row) => row.line === line && row.prompt === prompt);
}

/** All answers that are kept, as a JSON text: one entry per row, with its answers by step. */
export function answersJson(told: readonly Generations[]): string {
  const rows = new Map<string, { line: number; prompt: string; reference: string; answers: object[] }>();
  for (const { step, rows: answers } of told) {
    for (const { line, prompt, reference, answer, matches, cut } of answers) {
      const key = JSON.stringify([line, prompt]);
      const row = rows.get(key) ?? { line, prompt, reference, answers: [] };
      rows.set(key, row);
      row.answers.push({ step, answer, matches, cut });
    }
  }
  return JSON.stringify([...rows.values()], null, 2);
}
