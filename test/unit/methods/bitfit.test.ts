import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { MODELS } from '../../../bench/memoryModels.js';
import { mergeAdapter } from '../../../src/adapters/merging/merge.js';
import { attachMethods } from '../../../src/engines/session.js';
import { headerOf } from '../../../src/memory/headerOf.js';
import { readModelShape } from '../../../src/memory/readShape.js';
import { BitfitOptions } from '../../../src/methods/bitfit.js';
import { BIAS_TERMS } from '../../../src/methods/biasTerms.js';
import type { BiasTerm } from '../../../src/methods/biasTerms.js';
import { Ia3Options } from '../../../src/methods/ia3.js';
import type { AttachContext, Attached } from '../../../src/methods/method.js';
import { attachMethod } from '../../../src/methods/registry.js';
import { bert } from '../../../src/models/bert.js';
import { fixedSize } from '../../../src/tensor/dims.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { logitsOf, openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { fakeContext, site, smallSites } from './fakeModel.js';

const folder = temporaryFolder();
const gpt2 = await openModel(fixture('gpt2/tiny-gpt2'));
const encoder = await openModel(fixture('encoders/tiny-bert-classes'));

function bitfit(bias_terms: BitfitOptions['bias_terms'] = 'all'): BitfitOptions {
  return Value.Parse(BitfitOptions, { type: 'bitfit', bias_terms });
}

function attach(context: AttachContext, terms?: BitfitOptions['bias_terms']): Attached {
  const method = attachMethod(bitfit(terms), context);
  return method.alone ?? method;
}

function count({ trainables }: Attached): number {
  return trainables.reduce((sum, { variable }) => sum + fixedSize(variable.shape), 0);
}

/** A BERT of which only the config is known. */
function bertOf(key: 'bertBase' | 'bertLarge'): AttachContext {
  const { config, id } = MODELS[key];
  const header = headerOf(readModelShape(config, id), 'F32');
  const shapes = new Map([...header].map(([name, { shape }]) => [name, shape]));
  const task = { type: 'SEQ_CLS' } as const;
  const model = { ...bert.read(config, shapes, id, task), kind: bert.kind, task: task.type };
  return { ...fakeContext(smallSites()), model };
}

test('as many numbers as the authors count without the classifier: 102,912 of BERT-base, 272,384 of BERT-large', () => {
  assert.equal(count(attach(bertOf('bertBase'))), 102_912);
  assert.equal(count(attach(bertOf('bertLarge'))), 272_384);
  assert.equal(count(attach(bertOf('bertLarge'), ['query', 'intermediate'])), 122_880);
});

test('the norm of a bias as long as a large vocabulary is told', () => {
  const vocabulary = 250_002;
  const method = attach(fakeContext([site('linear', 'decoder', [vocabulary, 8], { bias: 'decoder.bias' })]));
  const [{ variable }] = method.trainables as [Attached['trainables'][number]];
  const values = new Map([[variable.name, new Float32Array(vocabulary).fill(2)]]);
  assert.equal(method.report!(values)[0]!.norm, 2 * Math.sqrt(vocabulary));
});

test('a kind is a kind of module and no part of a name; together they are all biases', () => {
  const [hidden, inner, layers] = [32, 48, 2];
  const sizes: Readonly<Record<BiasTerm, number>> = {
    query: layers * hidden,
    key: layers * hidden,
    value: layers * hidden,
    // The authors' `output` would be both of them, their `output_layernorm` both norms.
    attention_output: layers * hidden,
    attention_layernorm: layers * hidden,
    intermediate: layers * inner,
    output: layers * hidden,
    output_layernorm: layers * hidden,
    embeddings: hidden,
    head: hidden,
  };
  for (const term of BIAS_TERMS) assert.equal(count(attach(encoder.context, [term])), sizes[term], term);
  assert.equal(
    count(attach(encoder.context)),
    Object.values(sizes).reduce((sum, size) => sum + size, 0),
  );
  assert.deepEqual(attach(encoder.context, ['output']).coverage.targets, [{ entry: 'output', matched: layers }]);
});

test('ΔW is zero: weights stay, biases are those of the base and the difference', async () => {
  const method = attach(gpt2.context);
  const values = new Map(
    [...(await startValues(method.trainables))].map(([name, data]) => [name, data.map((_, at) => at / 8)]),
  );
  for (const site of gpt2.model.sites) {
    const weight = await gpt2.context.read(site.weight!);
    assert.equal(method.merge!(site, 'weight', weight, values), undefined);
    if (site.bias === undefined) continue;
    const base = await gpt2.context.read(site.bias);
    assert.deepEqual(
      method.merge!(site, 'bias', base, values),
      base.map((value, at) => value + at / 8),
    );
  }
  assert.ok(method.trainables.every(({ decays }) => !decays));
});

test('a bias of keys changes nothing where no positions turn the keys', async () => {
  const changed = async (term: BiasTerm): Promise<number> => {
    const method = attachMethod(bitfit([term]), encoder.context);
    const start = await startValues(method.trainables);
    const values = new Map(
      [...start].map(([name, data]) => [name, name.endsWith('difference') ? data.map((_, at) => at / 8) : data]),
    );
    const rows = [[5, 6, 70, 12, 9]];
    return largestDifference(
      await logitsOf(encoder, rows, { method, values }),
      await logitsOf(encoder, rows, { method, values: start }),
    );
  };
  assert.ok((await changed('key')) <= 1e-4);
  assert.ok((await changed('query')) > 1e-2);
});

test('beside factors on the module’s result, in either order, merged is applied', async () => {
  const terms = { type: 'bitfit', bias_terms: 'all' } as const;
  const ia3 = Value.Parse(Ia3Options, { type: 'ia3' });
  for (const [at, configs] of [
    [ia3, terms],
    [terms, ia3],
  ].entries()) {
    const methods = attachMethods(configs, gpt2.context);
    const start = await startValues(methods.flatMap(({ trainables }) => trainables));
    const values = new Map(
      [...start].map(([name, data]) => [name, data.map((value, place) => value + place / 64)]),
    );
    const out = path.join(folder, `merged-${at}`);
    const { verifiedDifference } = await mergeAdapter({ ...gpt2, methods, values, tokenizer, out });
    assert.ok(verifiedDifference <= 1e-3, String(verifiedDifference));
  }
});

test('no biases, no such biases, biases that lie in one tensor', async () => {
  const llama = await openModel(fixture('lora-reference/tiny-llama'));
  assert.throws(() => attach(llama.context), problem('bitfit.no-bias', 'Qwen2', 'ia3'));
  const some = fakeContext(smallSites());
  assert.throws(() => attach(some, ['query', 'value']), problem('bitfit.no-such-bias', "'query'"));
  assert.throws(
    () => attach(gpt2.context, ['query', 'intermediate']),
    problem('bitfit.one-tensor', 'query, key, value', 'c_attn'),
  );
  assert.throws(() => attach(gpt2.context, ['embeddings']), problem('bitfit.no-such-bias', 'head'));
  const three = attach(gpt2.context, ['query', 'key', 'value']);
  assert.equal(count(three), 2 * 72);
  // In an adapter on disk it is for the tensors to find their places.
  const warned = attach({ ...gpt2.context, idlePatterns: 'warning' }, ['query', 'intermediate']);
  assert.deepEqual(
    warned.coverage.warnings.map(({ code, severity }) => [code, severity]),
    [['bitfit.one-tensor', 'warning']],
  );
});
