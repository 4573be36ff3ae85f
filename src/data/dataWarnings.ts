import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import type { Tokenizer } from '../models/tokenizer.js';
import { endText } from './endOfText.js';
import type { Loaded } from './loadFiles.js';
import { listNames } from './row.js';

/** Share of rows above which a loss is no accident. */
const WARN_SHARE = 0.1;

/** What the user should know of a data set before training on it, all of severity `warning`. */
export function dataWarnings(loaded: Loaded, tokenizer: Tokenizer): Problem[] {
  const warnings: Problem[] = [];
  const rows = loaded.rowCount;
  const where = { file: loaded.files[0]! };
  const warn = (code: string, message: string, mend: string): void => {
    warnings.push({ code, message, severity: 'warning', where, mend });
  };
  const share = (count: number): string =>
    l10n.t`${count} of ${rows} rows (${Math.round((100 * count) / rows)} %)`;
  const truncated = loaded.rows.filter((row) => row.truncated).length + loaded.unsupervisedTruncated;
  if (loaded.brokenCount > WARN_SHARE * rows) {
    const first = loaded.broken[0]!;
    warn(
      'data.many-broken',
      l10n.t`${share(loaded.brokenCount)} cannot be used; the first, line ${first.line}: ${first.reason}`,
      l10n.t`Mend the rows listed in the data report.`,
    );
  }
  if (loaded.unsupervised > WARN_SHARE * rows) {
    warn(
      'data.many-unsupervised',
      l10n.t`${share(loaded.unsupervised)} were dropped: nothing supervised was left within "max_length"`,
      l10n.t`Raise "max_length", or shorten the prompts.`,
    );
  }
  if (truncated > WARN_SHARE * rows) {
    warn(
      'data.many-truncated',
      cutMessage(share(truncated), loaded, tokenizer),
      l10n.t`Raise "max_length", or shorten the rows.`,
    );
  }
  const own = endText(tokenizer);
  for (const [marker, count] of loaded.foreignEnds) {
    warn(
      'data.foreign-end',
      own === undefined
        ? l10n.t`${share(count)} end in ${marker}, which is not this model's end-of-text token; it was replaced by nothing: the tokenizer has none`
        : l10n.t`${share(count)} end in ${marker}, which is not this model's end-of-text token; it was replaced by ${own}`,
      l10n.t`Nothing, if that is what the marker meant; else take it out of the data.`,
    );
  }
  if (loaded.endless > 0) {
    warn(
      'data.no-end',
      own === undefined
        ? l10n.t`the tokenizer has no end-of-text token: the model will not learn where to stop`
        : l10n.t`${share(loaded.endless)} have no ${own} in what is supervised: the model may not learn where to stop`,
      own === undefined
        ? l10n.t`Set eos_token in the model's tokenizer_config.json.`
        : l10n.t`Let the chat template end answers with it.`,
    );
  }
  if (loaded.emptyAnswers > 0) {
    warn(
      'data.empty-answers',
      l10n.t`${share(loaded.emptyAnswers)} have an empty answer: all they teach is to stop at once`,
      l10n.t`Check the column of the answers, or take these rows out.`,
    );
  }
  if (loaded.ignoredColumns.length > 0) {
    warn(
      'data.ignored-columns',
      l10n.t`the columns ${listNames(loaded.ignoredColumns)} are not read`,
      l10n.t`Fold what matters into the prompt, or use the chat format.`,
    );
  }
  return warnings;
}

/** @param rows how many were cut */
function cutMessage(rows: string, { formats }: Loaded, { decoderStartId }: Tokenizer): string {
  if (formats.every((format) => format === 'text' || format === 'classification')) {
    return l10n.t`${rows} were cut to "max_length", and lost the end of their texts`;
  }
  return decoderStartId === undefined
    ? l10n.t`${rows} were cut to "max_length", and lost the end of their answers`
    : l10n.t`${rows} were cut to "max_length", and lost the end of their prompts or answers`;
}
