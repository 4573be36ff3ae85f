import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { isJsonObject } from '../../../src/common/json.js';
import type { Json } from '../../../src/common/json.js';
import { runFileJsonSchema } from '../../../src/config/jsonSchema.js';
import { RunFile } from '../../../src/config/schema.js';
import { METHODS } from '../../../src/methods/registry.js';

/** Follows keys down into JSON. */
function down(value: Json | undefined, ...keys: string[]): Json | undefined {
  return keys.reduce<Json | undefined>((at, key) => (isJsonObject(at) ? at[key] : undefined), value);
}

describe('the JSON Schema of run files', () => {
  const schema = runFileJsonSchema();

  it('is the one in media/ (else run `node --import tsx src/config/writeSchema.ts`)', () => {
    const file = new URL('../../../media/run-file.schema.json', import.meta.url);
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), schema);
  });

  it('requires only what has no default', () => {
    assert.deepEqual(schema['required'], ['model', 'data', 'method']);
    assert.deepEqual(down(schema, 'properties', 'data', 'required'), ['train']);
    assert.equal(down(schema, 'properties', 'training', 'required'), undefined);
    assert.deepEqual(down(schema, 'definitions', 'lora', 'required'), ['type']);
  });

  it('chooses the options by the type of the method', () => {
    const types = METHODS.map(({ type }) => type);
    assert.deepEqual(down(schema, 'definitions', 'method', 'properties', 'type', 'enum'), types);
    assert.deepEqual(
      down(schema, 'definitions', 'method', 'allOf'),
      types.map((type) => ({
        if: { properties: { type: { const: type } }, required: ['type'] },
        then: { $ref: `#/definitions/${type}` },
      })),
    );
    for (const { type, options } of METHODS) {
      assert.deepEqual(
        Object.keys(options.properties),
        Object.keys(down(schema, 'definitions', type, 'properties') ?? {}),
      );
    }
  });

  it('keeps limits, defaults, choices and lists', () => {
    const lora = (key: string): Json | undefined => down(schema, 'definitions', 'lora', 'properties', key);
    assert.deepEqual(lora('r'), {
      description: 'Rank of the update B·A.',
      default: 8,
      type: 'integer',
      minimum: 1,
    });
    const most = down(schema, 'definitions', 'adalora', 'properties', 'init_r', 'maximum');
    assert.equal(most, 4096);
    assert.deepEqual(down(lora('bias'), 'enum'), ['none', 'all', 'lora_only']);
    assert.deepEqual(down(lora('rank_pattern'), 'additionalProperties'), { type: 'integer', minimum: 1 });
    assert.deepEqual(down(lora('target_modules'), 'anyOf'), [
      { type: 'string' },
      { type: 'array', minItems: 1, items: { type: 'string' } },
    ]);
  });

  it('has a description for every option, for hovers', () => {
    const visit = (value: Json | undefined, at: string): void => {
      if (!isJsonObject(value)) return;
      for (const [key, option] of Object.entries(down(value, 'properties') ?? {})) {
        if (key !== 'type') assert.equal(typeof down(option, 'description'), 'string', `${at}.${key}`);
        visit(option, `${at}.${key}`);
      }
    };
    visit(schema, '');
    for (const { type } of METHODS) visit(down(schema, 'definitions', type), type);
    assert.equal(Object.keys(RunFile.properties).length, 9);
  });
});
