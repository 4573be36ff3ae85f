import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { AdaLoraOptions, adalora } from '../../../src/methods/adalora.js';
import { fixedSize } from '../../../src/tensor/dims.js';
import { topologicalOrder } from '../../../src/tensor/order.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';

test('the orthogonality term holds one identity for all sites: at high ranks a copy for each would be gigabytes', async () => {
  const { context } = await openModel(fixture('lora-reference', 'tiny-llama'));
  const rank = 64;
  const options = Value.Parse(AdaLoraOptions, { type: 'adalora', init_r: rank, target_r: 8 });
  const method = adalora.attach(options, context);
  const squares = topologicalOrder(method.regularizers!().map(({ term }) => term)).filter(
    (tensor) => tensor.kind === 'constant' && fixedSize(tensor.shape) === rank * rank,
  );
  assert.equal(squares.length, 1);
  const [one] = squares;
  assert.ok(one?.kind === 'constant');
  assert.ok([...one.data].every((value, at) => Number(value) === (at % (rank + 1) === 0 ? 1 : 0)));
});
