import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planProgram } from '../../../src/runtime/replay.js';
import { dim, multiplyDims } from '../../../src/tensor/dims.js';
import { matmul } from '../../../src/tensor/ops/matmul.js';
import { exp } from '../../../src/tensor/ops/elementwise.js';
import { addAt } from '../../../src/tensor/ops/indexing.js';
import { reduceSum } from '../../../src/tensor/ops/reduce.js';
import { reshape } from '../../../src/tensor/ops/shape.js';
import { constant, input, variable, weight } from '../../../src/tensor/tensor.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { groups, runSession, session } from '../../../src/training/stepMemory.js';
import type { BatchLengths, Session } from '../../../src/training/stepMemory.js';

const VOCABULARY = 50;
const HIDDEN = 8;
const INNER = 12;

/** x [batch, sequence, 8] → two products → logits [batch·sequence, 50] → exp → sum: all are forward tensors. */
function chain(): Session {
  const [batch, sequence] = [dim('batch'), dim('sequence')];
  const x = input('x', 'float32', [batch, sequence, HIDDEN]);
  const up = matmul(x, weight('up', [HIDDEN, INNER]));
  const down = matmul(up, weight('down', [INNER, HIDDEN]));
  const flat = reshape(down, [multiplyDims(batch, sequence), HIDDEN]);
  const logits = matmul(flat, weight('head', [HIDDEN, VOCABULARY]));
  const loss = reduceSum(reduceSum(exp(logits), [1]), [0]);
  const forward = new Set<Tensor>([up, down, flat, logits, loss]);
  const program = planProgram({ loss }, groups({ vocabSize: VOCABULARY }, forward, new Set()), () => false);
  return session([{ kind: 'step', program }]);
}

const batch = (rows: number, length: number): BatchLengths => ({ rows, length, supervised: rows });

test('closed form: at the peak both tensors of logits are there, of what came before nothing', () => {
  const { inUse } = runSession(chain(), { step: batch(3, 5) });
  assert.deepEqual(inUse, { activations: 0, logits: 2 * 3 * 5 * VOCABULARY * 4, gradients: 0, workspace: 0 });
});

test('weights are counted once, with their bytes', () => {
  assert.equal(chain().weights, 4 * (HIDDEN * INNER + INNER * HIDDEN + HIDDEN * VOCABULARY));
});

test('more tokens never take less, and no less is resident than is in use', () => {
  const own = chain();
  let last = 0;
  for (const length of [1, 2, 7, 31, 64, 200, 1000]) {
    const { inUse, touched } = runSession(own, { step: batch(2, length) });
    const total = Object.values(inUse).reduce((sum, bytes) => sum + bytes, 0);
    assert.ok(total >= last);
    assert.ok(touched >= total);
    last = total;
  }
});

test('rows times length is what counts', () => {
  assert.deepEqual(runSession(chain(), { step: batch(2, 32) }), runSession(chain(), { step: batch(4, 16) }));
});

test('places that programs share are counted once, and their copies of 8 bytes while they are added at', () => {
  const places = constant(
    Int32Array.from({ length: 3000 }, (_, at) => 2 * at),
    [3000],
    'int32',
  );
  const changed = addAt(weight('table', [100, 80]), variable('values', [3000]), places);
  const program = planProgram(
    { changed },
    () => 0,
    () => false,
  );
  const both = session([
    { kind: 'step', program },
    {
      kind: 'evaluation',
      program: planProgram(
        { changed: exp(changed) },
        () => 0,
        () => false,
      ),
    },
  ]);
  const alone = session([{ kind: 'step', program }]);
  const small = both.constants - alone.constants;
  assert.ok(small < 100, String(small));
  assert.ok(alone.constants >= 4 * 3000 && alone.constants < 4 * 3000 + 100);
  assert.equal(runSession(both, { step: batch(1, 1) }).beside, 8 * 3000);
});

test('a program without a batch is not run', () => {
  assert.equal(runSession(chain(), { evaluation: batch(2, 8) }).touched, 0);
});
