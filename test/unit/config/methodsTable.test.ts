import assert from 'node:assert/strict';
import { it } from 'node:test';
import { methodsTable } from '../../../src/config/methodsTable.js';
import { METHODS } from '../../../src/methods/registry.js';

it('the methods table has a row per method, with its paper', () => {
  const lines = methodsTable().split('\n');
  assert.equal(lines.length, METHODS.length + 2);
  assert.ok(lines.every((line) => line.split('|').length === 9));
  assert.ok(
    lines.includes(
      '| `lora` | LoRA | low-rank | Learns a low-rank update B·A beside each frozen weight matrix. | ' +
        '[Hu et al. 2021](https://arxiv.org/abs/2106.09685) | embedded | yes |',
    ),
  );
});

it('a bar in a text does not end its cell', () => {
  const [method] = METHODS;
  assert.match(methodsTable([{ ...method!, summary: 'a | b' }]), /\| a \\\| b \|/);
});
