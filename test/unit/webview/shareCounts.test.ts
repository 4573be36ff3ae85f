import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharesOf } from '../../../webview/shareCounts.js';
import { createSiteHistory, takeReport } from '../../../webview/siteHistory.js';

test('shares by layer and kind weigh tensors by their size; those of an unknown size are left out', () => {
  const history = createSiteHistory();
  takeReport(history, {
    step: 1,
    sites: [
      { path: 'model.embed_tokens', density: 0.5, shape: [4, 2] },
      { path: 'model.layers.0.self_attn.q_proj', density: 0.25, shape: [4, 4] },
      { path: 'model.layers.0.mlp.up_proj', density: 0, shape: [8, 4] },
      { path: 'model.layers.1.self_attn.q_proj', density: 1, shape: [4, 4] },
      { path: 'model.layers.1.input_layernorm', density: 1 },
      { path: 'model.layers.1.mlp.up_proj.lora_A', density: 0.5, shape: [2, 4] },
    ],
  });
  const { layers, kinds } = sharesOf(history, history.frames.items().at(-1)!);
  assert.deepEqual(layers, [
    { name: 'model.layers.0', kept: 4, size: 48 },
    { name: 'model.layers.1', kept: 20, size: 24 },
    { name: '', kept: 4, size: 8 },
  ]);
  assert.deepEqual(kinds, [
    { name: 'embed_tokens', kept: 4, size: 8 },
    { name: 'q_proj', kept: 20, size: 32 },
    { name: 'up_proj', kept: 0, size: 32 },
    { name: 'up_proj.lora_A', kept: 4, size: 8 },
  ]);
});
