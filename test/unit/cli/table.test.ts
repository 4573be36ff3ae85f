import assert from 'node:assert/strict';
import { test } from 'node:test';
import { table } from '../../../src/cli/table.js';

test('columns are aligned, numbers to the right', () => {
  const rows = [
    ['q_proj', '1,024', '[4, 128]'],
    ['mlp.down', '8', '[4, 8]'],
  ];
  assert.equal(
    table(rows, ['MODULE', 'N', 'A']),
    ['MODULE        N  A', 'q_proj    1,024  [4, 128]', 'mlp.down      8  [4, 8]'].join('\n'),
  );
});

test('width counts characters, not code units; nothing trails', () => {
  assert.equal(
    table([
      ['‖ΔW‖ 𝔸', 'x'],
      ['b', ''],
    ]),
    '‖ΔW‖ 𝔸  x\nb',
  );
  assert.equal(table([]), '');
});
