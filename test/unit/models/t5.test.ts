import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { JsonObject } from '../../../src/common/json.js';
import type { LanguageModel } from '../../../src/models/architecture.js';
import type { Checkpoint } from '../../../src/models/checkpoint.js';
import { openCheckpoint } from '../../../src/models/openCheckpoint.js';
import { readModel } from '../../../src/models/readModel.js';
import { bucketNumbers } from '../../../src/models/relativeBias.js';
import { fixture } from '../../support/fixtures.js';
import { problem } from './files.js';

const tiny = await openCheckpoint(fixture('t5/tiny-t5'));
const gated = await openCheckpoint(fixture('t5/tiny-t5-gated'));
const multilingual = await openCheckpoint(fixture('t5/tiny-mt5'));

function read(change: JsonObject = {}, checkpoint: Checkpoint = tiny): LanguageModel {
  return readModel({ ...checkpoint, config: { ...checkpoint.config, ...change } });
}

/** The checkpoint with other tensors. */
function changed(checkpoint: Checkpoint, change: (tensors: Map<string, { shape: readonly number[] }>) => void) {
  const tensors = new Map(checkpoint.tensors);
  change(tensors);
  return { ...checkpoint, tensors };
}

test('sites have the module paths of Transformers, the layers of both stacks counted on', () => {
  const { sites, layers, cacheLayers, kind, task } = read();
  const norm = 'layer_norm';
  const attention = (name: string): string[] => ['q', 'k', 'v', 'o'].map((part) => `${name}.${part}`);
  const self = [norm, ...attention('SelfAttention')];
  const fed = [norm, 'DenseReluDense.wi', 'DenseReluDense.wo'];
  const block = (stack: string, index: number, sublayers: readonly string[][]): string[] =>
    sublayers.flatMap((names, at) => names.map((name) => `${stack}.block.${index}.layer.${at}.${name}`));
  const first = (names: string[]): string[] => names.toSpliced(4, 0, 'SelfAttention.relative_attention_bias');
  assert.deepEqual(
    sites.map(({ path }) => path),
    [
      'shared',
      ...block('encoder', 0, [first(self), fed]),
      ...block('encoder', 1, [self, fed]),
      'encoder.final_layer_norm',
      ...block('decoder', 0, [first(self), [norm, ...attention('EncDecAttention')], fed]),
      ...block('decoder', 1, [self, [norm, ...attention('EncDecAttention')], fed]),
      ...block('decoder', 2, [self, [norm, ...attention('EncDecAttention')], fed]),
      'decoder.final_layer_norm',
      'lm_head',
    ],
  );
  assert.deepEqual([layers, cacheLayers, kind, task], [5, 3, 'encoder-decoder', 'SEQ_2_SEQ_LM']);
  const at = (path: string) => sites.find((site) => site.path === path)!;
  assert.equal(at('decoder.block.1.layer.1.EncDecAttention.k').layer, 3);
  assert.deepEqual(at('decoder.block.1.layer.1.EncDecAttention.k').shape, [18, 24]);
  assert.deepEqual(at('encoder.block.0.layer.0.SelfAttention.relative_attention_bias').shape, [8, 3]);
});

test('the head is tied where the config says so, and stands alone where the file holds one', () => {
  const head = (model: LanguageModel) => [model.sites.at(-1)!.weight, model.tiedHead];
  assert.deepEqual(head(read()), ['shared.weight', true]);
  assert.deepEqual(head(read({}, gated)), ['lm_head.weight', false]);
  // As Transformers 5 saves it.
  const saved = { tie_word_embeddings: true, scale_decoder_outputs: false };
  assert.deepEqual(head(read(saved, gated)), ['lm_head.weight', false]);
  assert.deepEqual(head(read({}, multilingual)), ['lm_head.weight', false]);
  assert.deepEqual(head(read({ tie_word_embeddings: true }, gated)), ['shared.weight', true]);
});

test('copies of the embeddings and a bias that nobody reads are no parameters', () => {
  const copies = ['encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'];
  const idle = 'decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight';
  const more = changed(tiny, (tensors) => {
    for (const name of [...copies, idle]) tensors.set(name, tensors.get('shared.weight')!);
  });
  assert.deepEqual([...read({}, more as Checkpoint).buffers!].sort(), [idle, ...copies].sort());
  const renamed = changed(tiny, (tensors) => {
    tensors.set(copies[0]!, tensors.get('shared.weight')!);
    tensors.delete('shared.weight');
  });
  assert.equal(read({}, renamed as Checkpoint).sites[0]!.weight, copies[0]);
});

test('what the config says and the tensors do not hold is named', () => {
  assert.throws(() => read({ num_layers: 3 }), problem('model.tensor', 'encoder.block.2.layer.0.layer_norm'));
  assert.throws(() => read({ num_decoder_layers: 2 }), problem('model.tensor', 'decoder.block.2', 'no place'));
  assert.throws(
    () => read({ feed_forward_proj: 'gated-gelu' }),
    problem('model.tensor', 'DenseReluDense.wi_0.weight is missing'),
  );
  assert.throws(() => read({ d_kv: 8 }), problem('model.tensor', '[18, 24]', '[24, 24]'));
});

test('what is not done is refused by its key', () => {
  assert.throws(() => read({ is_encoder_decoder: false }), problem('model.unsupported', 'is_encoder_decoder'));
  assert.throws(() => read({ feed_forward_proj: 'gated-swiglu' }), problem('model.activation', 'swiglu'));
  assert.throws(
    () => read({ relative_attention_max_distance: 3 }),
    problem('model.config', 'relative_attention_max_distance', 'from 5'),
  );
  assert.throws(
    () => read({ relative_attention_num_buckets: 2 }),
    problem('model.config', 'relative_attention_num_buckets'),
  );
  assert.throws(
    () => read({ decoder_start_token_id: 160 }),
    problem('model.config', 'decoder_start_token_id', '159'),
  );
});

test('the padding token starts answers where the config names none', () => {
  assert.equal(read({ decoder_start_token_id: 7 }).encoder!.startTokenId, 7);
  assert.equal(read({ decoder_start_token_id: null, pad_token_id: 3 }).encoder!.startTokenId, 3);
});

test("distances fall into Transformers' buckets", async () => {
  const cases = JSON.parse(await readFile(fixture('t5/buckets.json'), 'utf8')) as {
    bidirectional: boolean;
    buckets: number;
    reach: number;
    from: number;
    of: number[];
  }[];
  assert.equal(cases.length, 8);
  for (const { bidirectional, buckets: count, reach, from, of } of cases) {
    const ours = bucketNumbers({ count, reach, bidirectional });
    for (const [at, expected] of of.entries()) {
      const within = Math.max(-reach, Math.min(reach, from + at));
      assert.equal(ours[within + reach], expected, `${count} to ${reach}: ${from + at}`);
    }
  }
});
