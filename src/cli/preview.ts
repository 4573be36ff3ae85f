import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { formatCount } from '../common/format.js';
import { fileName } from '../common/fileName.js';
import { DEFAULT_SAMPLES, previewData } from '../engines/previewData.js';
import type { PreviewSample, SplitPreview } from '../engines/dataPreview.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { hubOf } from './hub.js';
import { openRunFile } from './runFile.js';
import { printable } from './styles.js';
import type { Styles } from './styles.js';
import { table } from './table.js';

/** Samples printed for a person. */
const PRINTED_SAMPLES = 3;
const BAR_WIDTH = 40;

export const preview: Command = {
  name: 'preview',
  summary: 'Show the data of a run file as the training sees them: template applied, loss mask, counts.',
  positionals: [{ name: 'FILE', help: 'a run file' }],
  options: {
    samples: {
      value: 'N',
      help: `How many samples of each split. Default: ${PRINTED_SAMPLES}; with --json ${DEFAULT_SAMPLES}, and as many cut rows.`,
    },
  },
  json: '{ "file", "model", "maxLength", "packing", "splits": [{ "split", "report", "dropped", "lengths", "samples": [{ "number", "file", "line", "truncated", "label", "length", "supervised", "tokens": [{ "id", "text", "supervised", "special" }] }] }], "warnings" }',
  jsonForm: 'document',
  examples: ['sql.peft.yaml', 'sql.peft.yaml --samples 10'],
  async run(args, io) {
    const asked = args.number('samples');
    if (asked !== undefined && (!Number.isInteger(asked) || asked < 0)) {
      fail({ code: 'cli.option-value', message: `--samples is ${asked}`, expected: 'a whole number from 0 up' });
    }
    const json = args.flag('json');
    const run = await openRunFile(args.positional(0), io);
    io.progress.update({ activity: l10n.t`Reading the data`, done: 0, total: 0 });
    const found = await previewData(run, hubOf(io), asked ?? (json ? DEFAULT_SAMPLES : PRINTED_SAMPLES));
    io.progress.end();
    io.interrupt.check();
    for (const warning of found.warnings) io.problem(warning);
    if (json) io.json(found);
    else for (const split of found.splits) io.line(splitText(split, io.styles));
    return DONE;
  },
};

function splitText({ split, report, dropped, lengths, samples }: SplitPreview, styles: Styles): string {
  const share = report.tokens === 0 ? 0 : (report.supervisedTokens / report.tokens) * 100;
  const most = Math.max(...lengths.bins.map(({ rows }) => rows));
  return [
    styles.bold(`${split === 'train' ? 'Training' : 'Validation'} rows (${report.format})`),
    table([
      ['Read', formatCount(report.rows)],
      ['Kept', formatCount(report.kept)],
      ['Truncated', formatCount(report.truncated)],
      ['Broken', formatCount(report.brokenCount)],
      ['No label', formatCount(report.unsupervised)],
      ['Tokens', formatCount(report.tokens)],
      report.classes === undefined
        ? ['Supervised', `${formatCount(report.supervisedTokens)} (${share.toFixed(1)} %)`]
        : ['Classes', report.classes.map(({ name, rows }) => `${name} ${formatCount(rows)}`).join(', ')],
      ['Length', `median ${lengths.median}, 95 % up to ${lengths.p95}, longest ${lengths.longest}`],
    ]),
    ...[...report.broken, ...dropped].map(({ file, line, reason }) =>
      printable(`dropped ${fileName(file)}:${line}: ${reason}`),
    ),
    table(
      lengths.bins.map(({ from, to, rows }) => [
        from === to ? String(from) : `${from}–${to}`,
        String(rows),
        '█'.repeat(Math.ceil((rows / most) * BAR_WIDTH)),
      ]),
      ['TOKENS', 'ROWS', ''],
    ),
    ...samples.map((sample) => sampleText(sample, styles)),
  ].join('\n\n');
}

/** Supervised tokens are green, or in brackets where there is no colour. */
function sampleText(
  { number, file, line, truncated, label, tokens, length }: PreviewSample,
  styles: Styles,
): string {
  const parts: string[] = [];
  for (let start = 0, end = 0; start < tokens.length; start = end) {
    const { supervised } = tokens[start]!;
    while (end < tokens.length && tokens[end]!.supervised === supervised) end++;
    const text = printable(
      tokens
        .slice(start, end)
        .map((token) => token.text)
        .join(''),
    );
    if (!supervised) parts.push(styles.dim(text));
    else parts.push(styles.colours ? styles.green(text) : `⟦${text}⟧`);
  }
  const cut = truncated ? ', cut' : '';
  const more = length > tokens.length ? ` … and ${length - tokens.length} tokens more` : '';
  return `${styles.bold(`Row ${number} (${fileName(file)}:${line}, ${length} tokens${cut})`)}\n${parts.join('')}${more}${label === undefined ? '' : ` → ${printable(label)}`}`;
}
