import * as l10n from '@vscode/l10n';
import { isJsonObject } from '../common/json.js';
import type { Json, JsonObject } from '../common/json.js';
import { runFileJsonSchema } from '../config/jsonSchema.js';
import { METHODS } from '../methods/registry.js';

/**
 * The run file's JSON Schema as the YAML language service completes best from it: methods as alternatives told apart by a
 * constant instead of `if`/`then`. Its descriptions are in the editor's language.
 */
export function serviceSchema(): JsonObject {
  const schema = runFileJsonSchema();
  const definitions = objectAt(schema, 'definitions');
  const methods = METHODS.map(({ type, title }) => ({
    title,
    type: 'object',
    required: ['type'],
    additionalProperties: false,
    properties: { ...objectAt(objectAt(definitions, type), 'properties'), type: typeSchema(type) },
  }));
  const method = { anyOf: [...methods, { type: 'array', minItems: 1, items: { anyOf: methods } }] };
  return inLanguage({ ...schema, definitions: {}, properties: { ...objectAt(schema, 'properties'), method } });
}

/**
 * While completing, the service takes the beginning of a constant for it: `adapter` would be `adapter_fusion`, too. The
 * expression tells them apart.
 */
function typeSchema(type: string): JsonObject {
  const isBeginning = METHODS.some((other) => other.type !== type && type.startsWith(other.type));
  return isBeginning ? { const: type, pattern: `^${type}$` } : { const: type };
}

function inLanguage(schema: JsonObject): JsonObject {
  const translated = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(translated);
    return isJsonObject(value) ? inLanguage(value) : value;
  };
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => {
      const isText = (key === 'title' || key === 'description') && typeof value === 'string';
      const isTexts = key === 'enumDescriptions' && Array.isArray(value);
      if (isText) return [key, l10n.t(value)];
      return [key, isTexts ? value.map((each) => l10n.t(String(each))) : translated(value)];
    }),
  );
}

function objectAt(value: JsonObject, key: string): JsonObject {
  const found = value[key];
  if (found === undefined || !isJsonObject(found)) throw new Error(`the run file's schema has no object ${key}`);
  return found;
}
