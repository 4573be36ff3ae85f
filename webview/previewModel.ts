import * as l10n from '@vscode/l10n';
import type { DataPreview, PreviewSample, PreviewToken, SplitPreview } from '../src/engines/dataPreview.js';

/** What the page of a data preview shows of it. */
export interface Chosen {
  split: SplitPreview['split'];
  onlyTruncated: boolean;
  /** Index among the samples that are listed. */
  at: number;
}

/** The split that is shown: the chosen one, or the first where that is not there any more. */
export function splitShown({ splits }: DataPreview, { split }: Chosen): SplitPreview | undefined {
  return splits.find((each) => each.split === split) ?? splits[0];
}

/** The samples to go through. */
export function samplesListed(split: SplitPreview, { onlyTruncated }: Chosen): readonly PreviewSample[] {
  return onlyTruncated ? split.samples.filter(({ truncated }) => truncated) : split.samples;
}

/** An index within a list of samples, the nearest one where there are fewer. */
export function within(at: number, count: number): number {
  return Math.max(0, Math.min(at, count - 1));
}

/** What is told of a token: its place, id and text, and whether and why the loss counts it. */
export function describeToken({ id, text, supervised, special }: PreviewToken, at: number): string {
  const shown = text === '' ? l10n.t`a part of the next character` : JSON.stringify(text);
  const reason = maskReason(supervised, at);
  return special === true
    ? l10n.t`Token ${at + 1}: id ${id}, ${shown}, special token; ${reason}`
    : l10n.t`Token ${at + 1}: id ${id}, ${shown}; ${reason}`;
}

function maskReason(supervised: boolean, at: number): string {
  if (supervised) return l10n.t`supervised: counts in the loss`;
  if (at === 0) return l10n.t`not supervised: the first token, which nothing predicts`;
  return l10n.t`not supervised: only read, part of the prompt or the template`;
}

/** A token as it is drawn: line breaks keep their break and are seen, as are tokens without a text of their own. */
export function drawnText(text: string): string {
  if (text === '') return '·';
  return text.replaceAll('\r', '␍').replaceAll('\t', '⇥\t').replaceAll('\n', '⏎\n');
}
