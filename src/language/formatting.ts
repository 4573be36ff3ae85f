import { isDeepStrictEqual } from 'node:util';
import { TextDocument } from 'vscode-languageserver-textdocument';
import type { TextEdit } from 'vscode-languageserver-types';
import { parseRunFile } from '../config/parseRunFile.js';
import { plainValue } from '../config/tree.js';
import type { RunDocument } from './runDocument.js';
import { optionsAt } from './schemaAt.js';
import type { SchemaService } from './schemaService.js';

/** Edits that make a run file tidy. None for one that is not YAML yet, or has a word where a section is being typed. */
export async function formatted(
  { text, file, parsed }: RunDocument,
  service: SchemaService,
): Promise<readonly TextEdit[]> {
  const { tree } = parsed;
  if (tree === undefined || file.endsWith('.json')) return [];
  const isHalfTyped = tree.entries.some(
    ({ key, value }) =>
      value.kind === 'scalar' &&
      value.value !== null &&
      Object.keys(optionsAt(key === 'method' ? [key, 0] : [key])).length > 0,
  );
  if (isHalfTyped) return [];
  const edits = await service.format(text);
  // Layout must never change what the file says.
  const after = parseRunFile(
    TextDocument.applyEdits(TextDocument.create(file, 'yaml', 0, text), [...edits]),
    file,
  );
  const isSame = after.tree !== undefined && isDeepStrictEqual(plainValue(after.tree), plainValue(tree));
  return isSame ? edits : [];
}
