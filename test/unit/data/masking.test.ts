import assert from 'node:assert/strict';
import { test } from 'node:test';
import { random } from '../../../src/common/random.js';
import { makeBatch, predictionCount } from '../../../src/data/batches.js';
import type { Example } from '../../../src/data/example.js';
import { maskTokens, maskedCount } from '../../../src/data/masking.js';

const MASK = 4;
const masking = { maskTokenId: MASK, vocabSize: 1000 };

function example(length: number): Example {
  return {
    ids: [2, ...Array.from({ length }, (_, at) => 500 + (at % 400)), 3],
    supervised: [0, ...new Array<1>(length).fill(1), 0],
    file: 'texts.jsonl',
    line: 1,
  };
}

test('15 % of the tokens are to be guessed, at least one, and no special token', () => {
  assert.equal(maskedCount(example(100)), 15);
  assert.equal(maskedCount(example(1)), 1);
  assert.equal(maskedCount({ supervised: [0, 0] }), 0);
  const row = example(40);
  const { ids, places } = maskTokens(row, { masking, random: random(1) });
  assert.equal(places.length, 6);
  assert.ok(places.every((place, at) => place > (places[at - 1] ?? 0) && place <= 40));
  const changed = [...row.ids.keys()].filter((at) => ids[at] !== row.ids[at]);
  assert.ok(changed.every((at) => places.includes(at)));
});

test('of those 8 in 10 become the mask, 1 in 10 any token, 1 in 10 stays', () => {
  const row = example(100);
  const counts = { masked: 0, other: 0, same: 0 };
  for (let draw = 0; draw < 1000; draw++) {
    const { ids, places } = maskTokens(row, { masking, random: random(7, draw) });
    for (const place of places) {
      if (ids[place] === MASK) counts.masked++;
      else if (ids[place] === row.ids[place]) counts.same++;
      else counts.other++;
    }
  }
  // Of 15,000: a deviation of the shares is below 0.0033.
  assert.ok(Math.abs(counts.masked / 15_000 - 0.8) < 0.015, JSON.stringify(counts));
  assert.ok(Math.abs(counts.other / 15_000 - 0.1) < 0.015);
  assert.ok(Math.abs(counts.same / 15_000 - 0.1) < 0.015);
});

test('a batch predicts masked tokens at their own places; draws follow from their stream', () => {
  const rows = [example(20), example(10)];
  const made = (stream: number) => makeBatch(rows, [[0], [1]], { masking, random: random(3, 'masks', 0, stream) });
  const batch = made(0);
  assert.equal(batch.targets.length, 3 + 2);
  batch.predictors.forEach((predictor, at) => {
    const [row, column] = [Math.floor(predictor / batch.length), predictor % batch.length];
    assert.equal(batch.targets[at], rows[row]!.ids[column]);
  });
  assert.deepEqual(made(0), batch);
  assert.notDeepEqual(made(1).inputIds, batch.inputIds);
  assert.equal(predictionCount(rows[0]!, masking), 3);
});
