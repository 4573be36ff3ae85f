import { KindGuard } from '@sinclair/typebox';
import type { TObject, TSchema } from '@sinclair/typebox';
import type { Json, JsonObject } from '../common/json.js';
import { METHODS } from '../methods/registry.js';
import { RunFile } from './schema.js';
import { shapeOf } from './shape.js';

/**
 * The JSON Schema (draft-07) of run files, for editors. What has a default is not required, and a method is
 * chosen by `type` with `if`/`then`, so that completions and errors are those of the chosen method.
 */
export function runFileJsonSchema(): JsonObject {
  const methods = Object.fromEntries(
    METHODS.map(({ type, title, summary, options }) => [
      type,
      { title, description: summary, ...objectJson(options) },
    ]),
  );
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'PEFT Studio run file',
    ...objectJson(RunFile, { method: methodJson(RunFile.properties.method.description) }),
    definitions: { method: chosenMethod(), ...methods },
  };
}

function methodJson(description: string | undefined): JsonObject {
  const one = { $ref: '#/definitions/method' };
  return {
    ...(description === undefined ? {} : { description }),
    type: ['object', 'array'],
    if: { type: 'array' },
    then: { minItems: 1, items: one },
    else: one,
  };
}

function chosenMethod(): JsonObject {
  return {
    type: 'object',
    required: ['type'],
    properties: {
      type: {
        description: 'The fine-tuning method.',
        enum: METHODS.map(({ type }) => type),
        enumDescriptions: METHODS.map(({ title, summary }) => `${title}: ${summary}`),
      },
    },
    allOf: METHODS.map(({ type }) => ({
      if: { properties: { type: { const: type } }, required: ['type'] },
      then: { $ref: `#/definitions/${type}` },
    })),
  };
}

function objectJson({ properties, required = [] }: TObject, replaced: JsonObject = {}): JsonObject {
  const needed = required.filter((key) => properties[key]?.default === undefined);
  return {
    type: 'object',
    additionalProperties: false,
    ...(needed.length > 0 ? { required: needed } : {}),
    properties: Object.fromEntries(
      Object.entries(properties).map(([key, schema]) => [key, replaced[key] ?? valueJson(schema)]),
    ),
  };
}

function valueJson(schema: TSchema): JsonObject {
  const shape = shapeOf(schema);
  const common = annotations(schema);
  switch (shape.kind) {
    case 'object':
      return { ...common, ...objectJson(shape.schema) };
    case 'record':
      return { ...common, type: 'object', additionalProperties: valueJson(shape.values) };
    case 'list':
      return {
        ...common,
        type: 'array',
        ...(shape.minimum > 0 ? { minItems: shape.minimum } : {}),
        items: valueJson(shape.items),
      };
    case 'choice': {
      const descriptions = choiceDescriptions(schema);
      return {
        ...common,
        ...(shape.values.length === 1 ? { const: shape.values[0] ?? null } : { enum: shape.values }),
        ...(descriptions.some((text) => text !== '') ? { enumDescriptions: descriptions } : {}),
      };
    }
    case 'variants':
    case 'union':
      return { ...common, anyOf: members(schema).map(valueJson) };
    case 'text':
      return { ...common, type: 'string', ...(shape.minimum > 0 ? { minLength: shape.minimum } : {}) };
    case 'numbered':
      return { ...common, type: 'string', pattern: shape.pattern };
    case 'number': {
      const limits = Object.entries(shape.range).filter(([, limit]) => limit !== undefined);
      return { ...common, type: shape.whole ? 'integer' : 'number', ...Object.fromEntries(limits) };
    }
    case 'boolean':
      return { ...common, type: 'boolean' };
  }
}

function annotations(schema: TSchema): JsonObject {
  const json: Record<string, Json> = {};
  if (schema.description !== undefined) json['description'] = schema.description;
  if (schema.default !== undefined) json['default'] = JSON.parse(JSON.stringify(schema.default));
  return json;
}

function members(schema: TSchema): TSchema[] {
  return KindGuard.IsUnion(schema) ? schema.anyOf : [];
}

function choiceDescriptions(schema: TSchema): string[] {
  return members(schema).map((member) => member.description ?? '');
}
