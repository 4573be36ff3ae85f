import { stat } from 'node:fs/promises';
import path from 'node:path';
import { formatBytes } from '../common/format.js';
import { asValue } from '../config/asValue.js';
import { nodeAt } from '../config/tree.js';
import { DATA_EXTENSIONS } from '../data/readRows.js';
import { columnsOf, firstRows } from './dataRows.js';
import { isModelFolder } from './modelHub.js';
import { writtenText } from './modelSource.js';
import { pathAsWritten } from './modelText.js';
import { walkFolders } from './modelWalk.js';
import type { RunDocument, Suggestion } from './runDocument.js';

/** Longer lists help nobody. */
const MAX_FILES = 200;

/** Columns offered; a row may have as many as it has letters. */
const MAX_COLUMNS = 200;

/** JSON files that hold settings, not rows. */
const SETTINGS =
  /^(?:package(?:-lock)?|[jt]sconfig.*|.*config|.*\.peft|.*\.index|tokenizer|trainer_state)\.json$/i;

/** A file with rows. */
export interface FoundData {
  /** As a run file would write it. */
  readonly text: string;
  /** Its size. */
  readonly detail?: string;
}

/** The data files at and below a folder, as a run file in `folder` names them. `signal` ends it with an AbortError. */
export async function findData(root: string, folder: string, signal?: AbortSignal): Promise<readonly FoundData[]> {
  const files: FoundData[] = [];
  for (const walked of await walkFolders(root, signal)) {
    // What lies beside a model or an adapter belongs to it.
    if (isModelFolder(walked.names) || walked.names.includes('adapter_config.json')) continue;
    const names = walked.names.filter((name) => isDataName(name));
    for (const name of names.sort().slice(0, MAX_FILES - files.length)) {
      signal?.throwIfAborted();
      const target = path.join(walked.folder, name);
      const found = await stat(target).catch(() => undefined);
      files.push({
        text: pathAsWritten(target, folder),
        ...(found && { detail: formatBytes(found.size) }),
      });
    }
  }
  return files;
}

/** The data files at and below the run file's folder. */
export async function dataSuggestions(
  { file, folder }: RunDocument,
  signal?: AbortSignal,
): Promise<readonly Suggestion[]> {
  const found = await findData(folder, folder, signal);
  return found.map(({ text, detail }) => {
    const insert = asValue(text, file);
    return {
      label: text,
      kind: 'file' as const,
      order: `${text.split('/').length}`,
      ...(detail !== undefined && { detail }),
      ...(insert !== text && { insert }),
    };
  });
}

/** The columns of the first rows of the training files. */
export async function columnSuggestions(
  document: RunDocument,
  signal?: AbortSignal,
): Promise<readonly Suggestion[]> {
  const columns = new Map<string, string>();
  for (const text of trainTexts(document)) {
    const first = await firstRows(path.resolve(document.folder, text), signal);
    for (const name of columnsOf(first?.rows ?? [])) if (!columns.has(name)) columns.set(name, text);
  }
  return [...columns].slice(0, MAX_COLUMNS).map(([label, text], index) => {
    const insert = asValue(label, document.file);
    return {
      label,
      kind: 'column' as const,
      detail: text,
      order: String(index).padStart(3, '0'),
      ...(insert !== label && { insert }),
    };
  });
}

function isDataName(name: string): boolean {
  const extension = path.extname(name).toLowerCase();
  return DATA_EXTENSIONS.some((known) => known === extension) && !SETTINGS.test(name);
}

function trainTexts(document: RunDocument): readonly string[] {
  const { tree } = document.parsed;
  const node = tree && nodeAt(tree, ['data', 'train']);
  if (node?.kind === 'list') {
    return node.items.flatMap((item) =>
      item.kind === 'scalar' && typeof item.value === 'string' ? item.value : [],
    );
  }
  const text = writtenText(document, ['data', 'train']);
  return text === undefined ? [] : [text];
}
