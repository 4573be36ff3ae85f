import type { TObject, TSchema } from '@sinclair/typebox';
import { isJsonObject } from '../common/json.js';
import type { Json, JsonObject } from '../common/json.js';
import { ADVICE } from '../config/advice.js';
import { runFileJsonSchema } from '../config/jsonSchema.js';
import { RunFile } from '../config/schema.js';
import { describeSchema } from '../config/shape.js';
import type { MethodInfo } from '../methods/info.js';
import { METHODS } from '../methods/registry.js';

/**
 * The run file's JSON Schema as the YAML language service completes best from it: methods as alternatives told apart by a
 * constant instead of `if`/`then`; and in Markdown what hovers show: meaning, what is possible, default, advice.
 */
export function serviceSchema(): JsonObject {
  const schema = runFileJsonSchema();
  const definitions = objectAt(schema, 'definitions');
  const methods = METHODS.map(({ type, title, summary, options }) => ({
    title,
    description: summary,
    type: 'object',
    required: ['type'],
    additionalProperties: false,
    properties: {
      ...explained(objectAt(objectAt(definitions, type), 'properties'), options, type),
      type: { const: type, markdownDescription: methodMarkdown(type) },
    },
  }));
  const properties = explained(objectAt(schema, 'properties'), RunFile, '');
  const { description = '' } = objectAt(properties, 'method');
  return {
    ...schema,
    definitions: {},
    properties: {
      ...properties,
      method: { description, anyOf: [...methods, { type: 'array', minItems: 1, items: { anyOf: methods } }] },
    },
  };
}

/** A method in a few lines: what it does, where it acts, who made it. */
export function methodMarkdown(type: string): string {
  const methods: readonly MethodInfo[] = METHODS;
  const info = methods.find((each) => each.type === type);
  if (info === undefined) return '';
  const { title, summary, family, place, paper, mergeable } = info;
  const link = paper.arxiv === undefined ? paper.title : `[${paper.title}](https://arxiv.org/abs/${paper.arxiv})`;
  return [
    `**${title}** (${family}, ${place})`,
    summary,
    `${paper.authors} (${paper.year}), ${link}`,
    mergeable ? 'Its adapters can be merged into the base model.' : '',
  ]
    .filter(Boolean)
    .join('\n\n');
}

/** Properties with their Markdown, those of sections included. */
function explained(properties: JsonObject, { properties: schemas }: TObject, section: string): JsonObject {
  const known: Readonly<Record<string, TSchema>> = schemas;
  const entries = Object.entries(properties).map(([key, value]): [string, Json] => {
    const schema = known[key];
    if (schema === undefined || !isJsonObject(value)) return [key, value];
    const name = section === '' ? key : `${section}.${key}`;
    const shown: JsonObject = { ...value, markdownDescription: optionMarkdown(schema, name) };
    if (!isObject(schema) || shown['properties'] === undefined) return [key, shown];
    return [key, { ...shown, properties: explained(objectAt(shown, 'properties'), schema, name) }];
  });
  return Object.fromEntries(entries);
}

/** An option in a few lines: meaning, what is possible, default, advice. */
export function optionMarkdown(schema: TSchema, name: string): string {
  const advice = ADVICE[name];
  const value: Json | undefined =
    schema.default === undefined ? undefined : JSON.parse(JSON.stringify(schema.default));
  const isSection = isObject(schema);
  return [
    schema.description ?? '',
    isSection ? '' : `Takes ${describeSchema(schema)}.`,
    value === undefined || isSection
      ? ''
      : `Default: \`${typeof value === 'string' ? value : JSON.stringify(value)}\``,
    advice === undefined ? '' : `💡 ${advice.text} *(${advice.source})*`,
  ]
    .filter(Boolean)
    .join('\n\n');
}

function isObject(schema: TSchema): schema is TObject {
  return schema['type'] === 'object' && schema['properties'] !== undefined;
}

function objectAt(value: JsonObject, key: string): JsonObject {
  const found = value[key];
  if (found === undefined || !isJsonObject(found)) throw new Error(`the run file's schema has no object ${key}`);
  return found;
}
