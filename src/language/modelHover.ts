import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { formatBytes, formatCount } from '../common/format.js';
import { nodeAt } from '../config/tree.js';
import type { ConfigNode, ConfigPath } from '../config/tree.js';
import { columnsOf, firstRows } from './dataRows.js';
import { code, codeBlock, plain } from './modelText.js';
import { modelOf } from './modelSource.js';
import { patternHover } from './patternsHover.js';
import type { Cursor, RunDocument } from './runDocument.js';

/** What is shown of a row's value. */
const SHOWN_CHARACTERS = 160;
/** Columns shown of a row. */
const SHOWN_COLUMNS = 12;

/**
 * What the model and the data tell about the key or value under the cursor, in Markdown: what a pattern matches, what a
 * model is, what a data file holds. Undefined elsewhere. `signal` ends it with an AbortError.
 */
export async function hoverAt(
  document: RunDocument,
  cursor: Cursor,
  signal?: AbortSignal,
): Promise<string | undefined> {
  signal?.throwIfAborted();
  const [section, option] = cursor.path;
  if (section === 'model') return modelHover(document, signal);
  if (section === 'data' && (option === 'train' || option === 'validation') && cursor.part === 'value') {
    return dataHover(document, cursor.path, signal);
  }
  return section === 'method' ? patternHover(document, cursor, signal) : undefined;
}

async function modelHover(document: RunDocument, signal?: AbortSignal): Promise<string | undefined> {
  const reading = await modelOf(document, signal);
  if (reading === undefined) return undefined;
  if ('problem' in reading) return l10n.t`This model cannot be used: ${plain(reading.problem.message)}.`;
  const { model, checkpoint, parameters, dtypes, bytes, task } = reading.facts;
  const rows = [
    [
      l10n.t`Architecture`,
      task === undefined ? code(model.modelType) : `${code(model.modelType)} (${code(shortened(task))})`,
    ],
    [l10n.t`Layers`, String(model.layers)],
    [l10n.t`Hidden size`, String(model.hiddenSize)],
    [l10n.t`Vocabulary`, formatCount(model.vocabSize)],
    // An encoder-decoder's biases go by distance, which has no end.
    ...(model.kind === 'encoder-decoder' ? [] : [[l10n.t`Positions`, formatCount(model.maxPositions)] as const]),
    [
      l10n.t`Parameters`,
      model.tiedHead
        ? l10n.t`${formatCount(parameters)} (output layer tied to the embedding)`
        : formatCount(parameters),
    ],
    [
      l10n.t`Weights`,
      `${dtypes.join(', ')}, ${formatBytes(bytes)}${checkpoint.format === 'gguf' ? ' (GGUF)' : ''}`,
    ],
  ];
  return [
    '| | |',
    '|---|---|',
    ...rows.map(([name = '', value = '']) => `| ${name} | ${value.replaceAll('|', '\\|')} |`),
  ].join('\n');
}

async function dataHover(
  document: RunDocument,
  at: ConfigPath,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const node: ConfigNode | undefined = document.parsed.tree && nodeAt(document.parsed.tree, at);
  if (node?.kind !== 'scalar' || typeof node.value !== 'string') return undefined;
  const first = await firstRows(path.resolve(document.folder, node.value), signal);
  if (first === undefined) return undefined;
  const size = formatBytes(first.bytes);
  const rows = first.count === undefined ? size : l10n.t`${formatCount(first.count)} rows, ${size}`;
  if (first.problem !== undefined) return l10n.t`${rows}. ${plain(first.problem.message)}.`;
  const [row] = first.rows;
  if (row === undefined) return l10n.t`${rows}.`;
  if (typeof row.value === 'string')
    return `${l10n.t`${rows}, plain text.`}\n\n${codeBlock(shortened(row.value), 'text')}`;
  const columns = columnsOf(first.rows);
  const names = columns
    .slice(0, SHOWN_COLUMNS)
    .map((name) => code(shortened(name)))
    .join(', ');
  const more = columns.length - SHOWN_COLUMNS;
  const head =
    more > 0 ? l10n.t`${rows}. Columns: ${names} and ${more} more.` : l10n.t`${rows}. Columns: ${names}.`;
  const shown = Object.entries(row.value)
    .slice(0, SHOWN_COLUMNS)
    .map(([name, value]) => `${shortened(name)}: ${shortened(JSON.stringify(value))}`);
  return `${head}\n\n${l10n.t`First row:`}\n${codeBlock(shown.join('\n'), 'text')}`;
}

function shortened(text: string): string {
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}
