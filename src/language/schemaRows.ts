import * as l10n from '@vscode/l10n';
import { KindGuard } from '@sinclair/typebox';
import type { TSchema } from '@sinclair/typebox';
import { asValue } from '../config/asValue.js';
import type { LocatedCursor } from './cursor.js';
import { optionsAt, schemaAt } from './schemaAt.js';

/** A key or value that the schema allows at the cursor. */
export interface SchemaRow {
  readonly label: string;
  readonly isKey: boolean;
  /** What is written, quoted as the file needs it; of a key its name alone. */
  readonly insert: string;
  /** Markdown. */
  readonly documentation?: string;
}

/** What the schema allows at a cursor: keys that are not there yet, or the values to choose from, or else the default. */
export function schemaRows(
  { path, part, siblings, methodType }: LocatedCursor,
  file: string,
): readonly SchemaRow[] {
  if (part === 'key') {
    return Object.keys(optionsAt(path.slice(0, -1), methodType))
      .filter((key) => !siblings.includes(key))
      .map((key) => ({ label: key, isKey: true, insert: key }));
  }
  const schema = schemaAt(path, methodType);
  if (schema === undefined) return [];
  const choices = choicesOf(schema, file);
  const { default: value } = schema;
  if (choices.length > 0 || (typeof value !== 'number' && typeof value !== 'string')) return choices;
  const insert = typeof value === 'string' ? asValue(value, file) : String(value);
  return [{ label: String(value), isKey: false, insert, documentation: l10n.t`The default.` }];
}

function choicesOf(schema: TSchema, file: string): readonly SchemaRow[] {
  if (KindGuard.IsUnion(schema)) return schema.anyOf.flatMap((member) => choicesOf(member, file));
  if (KindGuard.IsBoolean(schema))
    return ['true', 'false'].map((label) => ({ label, isKey: false, insert: label }));
  if (!KindGuard.IsLiteral(schema)) return [];
  const value = schema.const;
  const insert = typeof value === 'string' ? asValue(value, file) : String(value);
  const documentation = schema.description === undefined ? {} : { documentation: l10n.t(schema.description) };
  return [{ label: String(value), isKey: false, insert, ...documentation }];
}
