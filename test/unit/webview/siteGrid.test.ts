import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gridOf, placeOf } from '../../../webview/siteGrid.js';

test('modules are laid out by kind and layer; what stands beside the layers is listed apart', () => {
  const paths = [
    'model.embed_tokens',
    'model.layers.0.self_attn.q_proj',
    'model.layers.0.mlp.down_proj',
    'model.layers.2.self_attn.q_proj',
    'model.layers.10.mlp.down_proj',
    'model.norm',
  ];
  const grid = gridOf(paths);
  assert.deepEqual(grid.layers, [0, 2, 10]);
  assert.deepEqual(grid.rows, [
    { kind: 'self_attn.q_proj', sites: [1, 3, undefined] },
    { kind: 'mlp.down_proj', sites: [2, undefined, 4] },
  ]);
  assert.deepEqual(grid.others, [0, 5]);
  const shown = [...grid.rows.flatMap(({ sites }) => sites), ...grid.others].filter((site) => site !== undefined);
  assert.deepEqual(shown.sort(), [0, 1, 2, 3, 4, 5], 'no module is dropped');
});

test('stacks of their own have rows of their own', () => {
  const grid = gridOf(['encoder.block.0.layer.0.SelfAttention.q', 'decoder.block.0.layer.0.SelfAttention.q']);
  assert.deepEqual(
    grid.rows.map(({ kind }) => kind),
    ['encoder.block: layer.0.SelfAttention.q', 'decoder.block: layer.0.SelfAttention.q'],
  );
  assert.deepEqual(gridOf(['lm_head', 'x.1', '3']).others, [0, 1, 2]);
});

test('the layer is the first number of a path', () => {
  assert.deepEqual(placeOf('transformer.h.11.attn.c_attn'), {
    stack: 'transformer.h',
    layer: 11,
    kind: 'attn.c_attn',
  });
  assert.equal(placeOf('model.norm'), undefined);
  assert.equal(placeOf('model.layers.99999999999999.q'), undefined);
});
