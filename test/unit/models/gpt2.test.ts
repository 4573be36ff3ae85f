import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../../src/common/json.js';
import type { LanguageModel } from '../../../src/models/architecture.js';
import type { Checkpoint } from '../../../src/models/checkpoint.js';
import { openCheckpoint } from '../../../src/models/openCheckpoint.js';
import { readModel } from '../../../src/models/readModel.js';
import { fixture } from '../../support/fixtures.js';
import { problem } from './files.js';

const tiny = await openCheckpoint(fixture('gpt2/tiny-gpt2'));
const bare = await openCheckpoint(fixture('gpt2/tiny-gpt2-bare'));
const untied = await openCheckpoint(fixture('gpt2/tiny-gpt2-untied'));

/** Three heads of size 8, two layers; with another config. */
function read(change: JsonObject = {}, checkpoint: Checkpoint = tiny): LanguageModel {
  return readModel({ ...checkpoint, config: { ...checkpoint.config, ...change } });
}

/** The checkpoint without a tensor, or with another shape. */
function damaged(checkpoint: Checkpoint, name: string, shape?: readonly number[]): Checkpoint {
  const tensors = new Map(checkpoint.tensors);
  assert.ok(tensors.delete(name), name);
  if (shape !== undefined) tensors.set(name, { dtype: 'F32', shape });
  return { ...checkpoint, tensors };
}

test('sites have the module paths of Transformers whatever the prefix, and name the tensors of the file', () => {
  const paths = [
    'transformer.wte',
    'transformer.wpe',
    ...[0, 1].flatMap((layer) =>
      ['ln_1', 'attn.c_attn', 'attn.c_proj', 'ln_2', 'mlp.c_fc', 'mlp.c_proj'].map(
        (name) => `transformer.h.${layer}.${name}`,
      ),
    ),
    'transformer.ln_f',
    'lm_head',
  ];
  for (const [checkpoint, prefix, inner] of [
    [tiny, 'transformer.', 96],
    [bare, '', 40],
  ] as const) {
    const { sites, tiedHead } = read({}, checkpoint);
    assert.deepEqual(
      sites.map((site) => site.path),
      paths,
    );
    const at = (path: string) => sites.find((site) => site.path === path)!;
    assert.deepEqual(at('transformer.h.1.mlp.c_fc'), {
      kind: 'linear',
      path: 'transformer.h.1.mlp.c_fc',
      layer: 1,
      shape: [inner, 24],
      layout: 'in-out',
      weight: `${prefix}h.1.mlp.c_fc.weight`,
      bias: `${prefix}h.1.mlp.c_fc.bias`,
      isOutput: false,
    });
    assert.deepEqual(at('transformer.h.0.attn.c_attn').shape, [72, 24]);
    assert.deepEqual(at('transformer.wpe').shape, [48, 24]);
    const head = at('lm_head');
    assert.deepEqual(
      [head.weight, head.bias, head.layout, head.isOutput],
      [`${prefix}wte.weight`, undefined, undefined, true],
    );
    assert.equal(tiedHead, true);
  }
});

test('a head of its own is used only where the config does not tie it', () => {
  const headOf = (model: LanguageModel): [string | undefined, boolean] => [
    model.sites.at(-1)!.weight,
    model.tiedHead,
  ];
  assert.deepEqual(headOf(read({}, untied)), ['lm_head.weight', false]);
  assert.deepEqual(headOf(read({ tie_word_embeddings: true }, untied)), ['transformer.wte.weight', true]);
  assert.deepEqual(headOf(read({ tie_word_embeddings: false })), ['transformer.wte.weight', true]);
});

test('stored masks are no parameters', () => {
  assert.deepEqual([...read({}, bare).buffers!].sort(), [
    'h.0.attn.bias',
    'h.1.attn.bias',
    'h.1.attn.masked_bias',
  ]);
  assert.equal(read().buffers!.size, 0);
});

test('an activation that is not known is refused by its name', () => {
  assert.throws(
    () => read({ activation_function: 'quick_gelu' }),
    problem('model.activation', "'quick_gelu'", 'gelu_new', 'activation_function'),
  );
  assert.throws(() => read({ activation_function: 'toString' }), problem('model.activation', "'toString'"));
});

test('cross-attention and heads that do not fit are refused', () => {
  assert.throws(() => read({ add_cross_attention: true }), problem('model.unsupported', 'add_cross_attention'));
  assert.throws(() => read({ n_head: 5 }), problem('model.config', '5 attention heads', 'n_embd', 'n_head'));
  assert.throws(() => read({ scale_attn_weights: 'yes' }), problem('model.config', 'scale_attn_weights'));
  assert.throws(() => read({ n_inner: 0 }), problem('model.config', 'n_inner'));
});

test('what the config says and the tensors do not hold is named with both shapes', () => {
  const c_attn = 'transformer.h.1.attn.c_attn';
  const tensor = 'model.tensor';
  assert.throws(() => read({ n_layer: 3 }), problem(tensor, 'transformer.h.2.ln_1.weight is missing', '[24]'));
  assert.throws(
    () => read({ n_positions: 64 }),
    problem(tensor, 'transformer.wpe.weight', '[48, 24]', '[64, 24]'),
  );
  assert.throws(() => read({ n_inner: 40 }), problem(tensor, 'c_fc.weight', '[24, 96]', '[24, 40]'));
  // The other way round, as a Linear has it.
  const turned = damaged(tiny, `${c_attn}.weight`, [72, 24]);
  assert.throws(() => read({}, turned), problem(tensor, `${c_attn}.weight is [72, 24]`, '[24, 72]'));
  assert.throws(() => read({}, damaged(tiny, `${c_attn}.bias`)), problem(tensor, `${c_attn}.bias is missing`));
  const short = damaged(bare, 'ln_f.bias', [12]);
  assert.throws(() => read({}, short), problem(tensor, 'ln_f.bias is [12]', '[24]'));
});

test('dropouts that the config asks for are said, also by keys that are absent', () => {
  const told = (change: JsonObject): string[] => (read(change).warnings ?? []).map(({ message }) => message);
  const off = { embd_pdrop: 0, attn_pdrop: 0, resid_pdrop: 0 };
  assert.deepEqual(told(off), []);
  const [one] = told({ ...off, attn_pdrop: 0.2 });
  assert.match(one!, /\(attn_pdrop 0\.2\), which is not applied/);
  const config = Object.fromEntries(
    Object.entries({ ...tiny.config, ...off }).filter(([key]) => key !== 'embd_pdrop'),
  );
  const [absent] = readModel({ ...tiny, config }).warnings ?? [];
  assert.match(absent!.message, /embd_pdrop 0\.1/);
});
