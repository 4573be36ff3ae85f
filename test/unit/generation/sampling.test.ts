import assert from 'node:assert/strict';
import { test } from 'node:test';
import { random } from '../../../src/common/random.js';
import { chooseToken, draw, mostLikely, penalize, tokenProbabilities } from '../../../src/generation/sampling.js';

const ALL = { temperature: 1, top_k: 0, top_p: 1, repetition_penalty: 1 };

/** Logits whose softmax is these probabilities. */
function logitsOf(...probabilities: number[]): Float32Array {
  return Float32Array.from(probabilities, Math.log);
}

function near(found: ArrayLike<number>, expected: readonly number[], tolerance = 1e-6): void {
  assert.equal(found.length, expected.length);
  expected.forEach((value, at) => {
    assert.ok(Math.abs(found[at]! - value) <= tolerance, `${Array.from(found).join()} is not ${expected.join()}`);
  });
}

test('greedy takes the largest, the first of equals, and draws nothing', () => {
  assert.equal(mostLikely(Float32Array.of(-3, 2, 1, 2)), 1);
  assert.equal(mostLikely(Float32Array.of(-Infinity, -5)), 1);
  const rng = random(1, 'test');
  assert.equal(chooseToken(Float32Array.of(0, 1, 5), new Set(), { ...ALL, temperature: 0 }, rng), 2);
  assert.equal(rng.uniform(), random(1, 'test').uniform());
});

test('logits that are not finite stop the run', () => {
  for (const bad of [
    [NaN, 1],
    [1, NaN],
    [1, Infinity],
    [-Infinity, -Infinity],
  ]) {
    const logits = Float32Array.from(bad);
    assert.throws(() => mostLikely(logits), /logit of token/);
    assert.throws(() => tokenProbabilities(logits, ALL), /logit of token/);
  }
});

test('softmax is exact for large and small logits', () => {
  near(tokenProbabilities(Float32Array.of(1, 2, 3), ALL), [0.0900306, 0.2447285, 0.665241]);
  near(tokenProbabilities(Float32Array.of(10_001, 10_002, 10_003), ALL), [0.0900306, 0.2447285, 0.665241]);
  near(tokenProbabilities(Float32Array.of(-10_003, -10_002, -10_001), ALL), [0.0900306, 0.2447285, 0.665241]);
  near(tokenProbabilities(Float32Array.of(-Infinity, 0, 3e38), ALL), [0, 0, 1]);
});

test('temperature sharpens and flattens', () => {
  const logits = logitsOf(0.2, 0.8);
  near(tokenProbabilities(logits, { ...ALL, temperature: 0.5 }), [0.04 / 0.68, 0.64 / 0.68]);
  near(tokenProbabilities(logits, { ...ALL, temperature: 1e9 }), [0.5, 0.5]);
  near(tokenProbabilities(logits, { ...ALL, temperature: 1e-320 }), [0, 1]);
});

test('top_k keeps the k most likely and those as likely as the k-th', () => {
  const logits = logitsOf(0.1, 0.4, 0.2, 0.3);
  near(tokenProbabilities(logits, { ...ALL, top_k: 2 }), [0, 4 / 7, 0, 3 / 7]);
  near(tokenProbabilities(logits, { ...ALL, top_k: 1 }), [0, 1, 0, 0]);
  const same = tokenProbabilities(logits, ALL);
  for (const top_k of [0, 4, 5, 1000]) assert.deepEqual(tokenProbabilities(logits, { ...ALL, top_k }), same);
  near(tokenProbabilities(logitsOf(0.4, 0.2, 0.2, 0.2), { ...ALL, top_k: 2 }), [0.4, 0.2, 0.2, 0.2]);
});

test('top_p keeps the fewest that reach the mass', () => {
  const logits = logitsOf(0.1, 0.4, 0.2, 0.3);
  near(tokenProbabilities(logits, { ...ALL, top_p: 0.6 }), [0, 4 / 7, 0, 3 / 7]);
  near(tokenProbabilities(logits, { ...ALL, top_p: 0.75 }), [0, 4 / 9, 2 / 9, 3 / 9]);
  for (const top_p of [0, 1e-12, 0.39]) near(tokenProbabilities(logits, { ...ALL, top_p }), [0, 1, 0, 0]);
  assert.deepEqual(tokenProbabilities(logits, { ...ALL, top_p: 1 }), tokenProbabilities(logits, ALL));
  near(tokenProbabilities(logits, { ...ALL, top_p: 1 - 1e-12 }), [0.1, 0.4, 0.2, 0.3]);
});

test('of tokens equally likely top_p keeps as many as it needs, the lowest ids', () => {
  const even = Float32Array.of(0, 0, 0, 0);
  near(tokenProbabilities(even, { ...ALL, top_p: 0.5 }), [0.5, 0.5, 0, 0]);
  near(tokenProbabilities(even, { ...ALL, top_p: 0.51 }), [1 / 3, 1 / 3, 1 / 3, 0]);
  near(tokenProbabilities(logitsOf(0.2, 0.2, 0.4, 0.2), { ...ALL, top_p: 0.55 }), [1 / 3, 0, 2 / 3, 0]);
});

test('top_p counts the mass that top_k and temperature leave', () => {
  const logits = logitsOf(0.1, 0.4, 0.2, 0.3);
  // Among the two most likely the first holds 4/7 = 0.571.
  near(tokenProbabilities(logits, { ...ALL, top_k: 2, top_p: 0.57 }), [0, 1, 0, 0]);
  near(tokenProbabilities(logits, { ...ALL, top_k: 2, top_p: 0.58 }), [0, 4 / 7, 0, 3 / 7]);
  near(tokenProbabilities(logits, { ...ALL, temperature: 0.25, top_p: 0.7 }), [0, 1, 0, 0]);
});

test('the repetition penalty lowers every seen token once and leaves its input', () => {
  const logits = Float32Array.of(2, -2, 0, 3);
  assert.deepEqual(penalize(logits, new Set([0, 1, 2]), 2), Float32Array.of(1, -4, 0, 3));
  assert.deepEqual(logits, Float32Array.of(2, -2, 0, 3));
  const options = { ...ALL, temperature: 0, repetition_penalty: 2 };
  assert.equal(chooseToken(logits, new Set([3]), options, random(1)), 0);
});

test('draw takes the token in whose share the number falls', () => {
  const probabilities = Float64Array.of(0, 0.25, 0, 0.75, 0);
  assert.deepEqual(
    [0, 0.2499, 0.25, 0.99999].map((uniform) => draw(probabilities, uniform)),
    [1, 1, 3, 3],
  );
  assert.equal(draw(Float64Array.of(0.3, 0.3, 0), 0.99), 1, 'a sum below 1 by rounding');
});

test('tokens come as often as they are likely', () => {
  const expected = [0.5, 0, 0.3, 0.15, 0.05];
  const logits = logitsOf(...expected);
  const draws = 20_000;
  const counts = expected.map(() => 0);
  const rng = random(7, 'generate', 0);
  for (let i = 0; i < draws; i++) counts[chooseToken(logits, new Set(), ALL, rng)]! += 1;
  assert.equal(counts[1], 0);
  // Pearson's statistic with 3 degrees of freedom stays below 16.27 in 999 of 1000 seeds.
  const statistic = expected.reduce(
    (sum, p, id) => (p === 0 ? sum : sum + (counts[id]! - draws * p) ** 2 / (draws * p)),
    0,
  );
  assert.ok(statistic < 16.27, `${counts.join()}: ${statistic}`);
  assert.ok(statistic > 0);
});
