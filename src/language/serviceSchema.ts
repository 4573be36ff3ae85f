import { isJsonObject } from '../common/json.js';
import type { JsonObject } from '../common/json.js';
import { runFileJsonSchema } from '../config/jsonSchema.js';
import { METHODS } from '../methods/registry.js';

/**
 * The run file's JSON Schema as the YAML language service completes best from it: methods as alternatives told apart by a
 * constant instead of `if`/`then`.
 */
export function serviceSchema(): JsonObject {
  const schema = runFileJsonSchema();
  const definitions = objectAt(schema, 'definitions');
  const methods = METHODS.map(({ type, title }) => ({
    title,
    type: 'object',
    required: ['type'],
    additionalProperties: false,
    properties: { ...objectAt(objectAt(definitions, type), 'properties'), type: { const: type } },
  }));
  const method = { anyOf: [...methods, { type: 'array', minItems: 1, items: { anyOf: methods } }] };
  return { ...schema, definitions: {}, properties: { ...objectAt(schema, 'properties'), method } };
}

function objectAt(value: JsonObject, key: string): JsonObject {
  const found = value[key];
  if (found === undefined || !isJsonObject(found)) throw new Error(`the run file's schema has no object ${key}`);
  return found;
}
