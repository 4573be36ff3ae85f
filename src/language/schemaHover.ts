import * as l10n from '@vscode/l10n';
import type { TObject, TSchema } from '@sinclair/typebox';
import { KindGuard } from '@sinclair/typebox';
import type { Json } from '../common/json.js';
import { ADVICE } from '../config/advice.js';
import { describeSchema, shapeOf } from '../config/shape.js';
import type { MethodInfo } from '../methods/info.js';
import { METHODS } from '../methods/registry.js';
import type { LocatedCursor } from './cursor.js';
import { isMethodType, optionName, schemaAt } from './schemaAt.js';

/** What the schema says about the key or value under the cursor, in Markdown; undefined where nothing may stand. */
export function schemaHover(cursor: LocatedCursor): string | undefined {
  const { path, methodType = '' } = cursor;
  if (isMethodType(path)) return methodMarkdown(methodType) ?? methodsMarkdown();
  // An entry of a list or of a pattern is explained where the list is.
  for (let length = path.length; length > 0; length--) {
    const at = path.slice(0, length);
    const schema = schemaAt(at, methodType);
    if (schema === undefined) return undefined;
    if (schema.description !== undefined) return optionMarkdown(schema, optionName(at, methodType));
  }
  return undefined;
}

/** A method in a few lines: what it does, where it acts, who made it. Undefined for a name that no method has. */
export function methodMarkdown(type: string): string | undefined {
  const methods: readonly MethodInfo[] = METHODS;
  const info = methods.find((each) => each.type === type);
  if (info === undefined) return undefined;
  const { title, summary, family, place, paper, mergeable } = info;
  const link = paper.arxiv === undefined ? paper.title : `[${paper.title}](https://arxiv.org/abs/${paper.arxiv})`;
  return [
    l10n.t`**${l10n.t(title)}** (${l10n.t(family)}, ${l10n.t(place)})`,
    l10n.t(summary),
    `${paper.authors} (${paper.year}), ${link}`,
    mergeable ? l10n.t`Its adapters can be merged into the base model.` : '',
  ]
    .filter(Boolean)
    .join('\n\n');
}

/** Every method in a line. */
export function methodsMarkdown(): string {
  const rows = METHODS.map(({ type, title, summary }) => {
    return l10n.t`* \`${type}\`: ${l10n.t(title)}. ${l10n.t(summary)}`;
  });
  return [l10n.t`The fine-tuning method.`, rows.join('\n')].join('\n\n');
}

/** An option in a few lines: meaning, what is possible, default, advice. */
export function optionMarkdown(schema: TSchema, name: string): string {
  const advice = ADVICE[name];
  const value: Json | undefined =
    schema.default === undefined ? undefined : JSON.parse(JSON.stringify(schema.default));
  const isSection = isObject(schema) || name === 'method';
  return [
    schema.description === undefined ? '' : l10n.t(schema.description),
    isSection ? '' : possible(schema),
    value === undefined || isSection
      ? ''
      : l10n.t`Default: \`${typeof value === 'string' ? value : JSON.stringify(value)}\``,
    advice === undefined ? '' : l10n.t`💡 ${l10n.t(advice.text)} *(${l10n.t(advice.source)})*`,
  ]
    .filter(Boolean)
    .join('\n\n');
}

/** What may be written; choices that are described, one by one. */
function possible(schema: TSchema): string {
  const choices = KindGuard.IsUnion(schema) ? schema.anyOf : [];
  const described = choices.every((choice) => KindGuard.IsLiteral(choice) && choice.description !== undefined);
  if (choices.length === 0 || !described) return l10n.t`Takes ${describeSchema(schema)}.`;
  const rows = choices.map(
    (choice) => l10n.t`* \`${String(choice['const'])}\`: ${l10n.t(choice.description ?? '')}`,
  );
  return `${l10n.t`Takes one of:`}\n\n${rows.join('\n')}`;
}

function isObject(schema: TSchema): schema is TObject {
  return shapeOf(schema).kind === 'object';
}
