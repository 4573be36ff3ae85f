// A layer's figures are those of its modules' numbers in one vector.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CombinedModule } from '../../../../src/adapters/combining/combination.js';
import { combinedLayers } from '../../../../src/adapters/combining/combinedLayers.js';
import { combinedNumbers } from '../../../../src/adapters/combining/combinedNumbers.js';
import type { SparseDifference } from '../../../../src/adapters/sparseSum.js';
import { random } from '../../../../src/common/random.js';
import type { Site } from '../../../../src/models/site.js';

const SIZE = 60;
const WEIGHTS = [2, -1, 0.5] as const;
const rng = random(3, 'layers');
const site = (path: string, layer: number | undefined): Site => {
  return { kind: 'linear', path, layer, shape: [6, 10], weight: path, bias: undefined, isOutput: false };
};
const parts = WEIGHTS.map((weight) => ({ weight, weightIn: () => weight }));

interface Drawn {
  readonly module: CombinedModule;
  /** w·ΔW of each adapter */
  readonly dense: readonly Float64Array[];
}

/** Random differences of two or three adapters. */
function drawn(path: string, layer: number | undefined, adapters: readonly number[]): Drawn {
  const dense = WEIGHTS.map(() => new Float64Array(SIZE));
  const terms = adapters.map((at) => {
    const places = Int32Array.from(
      Array.from({ length: SIZE }, (_, place) => place).filter(() => rng.uniform() < 0.5),
    );
    const difference: SparseDifference = { places, values: Float32Array.from(places, () => rng.normal()) };
    places.forEach((place, index) => (dense[at]![place] = WEIGHTS[at]! * difference.values[index]!));
    return { at, difference, weight: WEIGHTS[at]! };
  });
  const sum = Float32Array.from({ length: SIZE }, (_, place) =>
    dense.reduce((total, each) => total + each[place]!, 0),
  );
  const all = Int32Array.from({ length: SIZE }, (_, place) => place);
  return { module: combinedNumbers(site(path, layer), SIZE, terms, parts, { places: all, values: sum }), dense };
}

const MODULES = [
  drawn('h.0.a', 0, [0, 1, 2]),
  drawn('h.0.b', 0, [0, 2]),
  drawn('h.1.a', 1, [0, 1]),
  drawn('head', undefined, [1]),
];

const near = (one: number, other: number, what: string): void =>
  assert.ok(Math.abs(one - other) < 1e-5, `${what}: ${one}, expected ${other}`);

test('norms, cosines, signs and places of single modules, by their numbers', () => {
  for (const { module, dense } of MODULES) {
    module.norms.forEach((norm, at) => near(norm, Math.hypot(...dense[at]!), `norm ${at}`));
    for (const { adapters, cosine, shared, signConflicts } of module.pairs) {
      const [one, two] = adapters.map((at) => dense[at]!) as [Float64Array, Float64Array];
      const both = [...one.keys()].filter((place) => one[place] !== 0 && two[place] !== 0);
      const either = [...one.keys()].filter((place) => one[place] !== 0 || two[place] !== 0);
      near(shared!, both.length / either.length, 'shared');
      const against = both.filter((place) => one[place]! * two[place]! < 0);
      near(signConflicts!, against.length / both.length, 'signs');
      const inner = one.reduce((sum, each, place) => sum + each * two[place]!, 0);
      near(cosine!, inner / (Math.hypot(...one) * Math.hypot(...two)), 'cosine');
    }
  }
  assert.deepEqual(
    MODULES.map(({ module }) => module.pairs.map(({ adapters }) => adapters.join())),
    [['0,1', '0,2', '1,2'], ['0,2'], ['0,1'], []],
  );
});

test('layers in the order of the model, and all of them', () => {
  const { layers, total } = combinedLayers(MODULES.map(({ module }) => module).reverse());
  assert.deepEqual(
    layers.map(({ name, layer, modules }) => [name, layer, modules]),
    [
      ['h.0', 0, 2],
      ['h.1', 1, 1],
      ['', null, 1],
    ],
  );
  assert.equal(total.modules, 4);
  const groups = [MODULES.slice(0, 2), MODULES.slice(2, 3), MODULES.slice(3), MODULES];
  for (const [at, group] of groups.entries()) {
    const found = [...layers, total][at]!;
    const vectors = WEIGHTS.map((_, adapter) => group.flatMap(({ dense }) => [...dense[adapter]!]));
    const sum = vectors[0]!.map((_, place) => vectors.reduce((all, vector) => all + vector[place]!, 0));
    near(found.norm, Math.hypot(...sum), 'norm of the sum');
    found.norms.forEach((norm, adapter) => near(norm, Math.hypot(...vectors[adapter]!), 'norm'));
    for (const { adapters, cosine } of found.pairs) {
      const [one, two] = adapters.map((adapter) => vectors[adapter]!) as [number[], number[]];
      const inner = one.reduce((total, each, place) => total + each * two[place]!, 0);
      near(cosine!, inner / (Math.hypot(...one) * Math.hypot(...two)), 'cosine');
    }
  }
  assert.deepEqual(
    total.pairs.map(({ adapters }) => adapters.join()),
    ['0,1', '0,2', '1,2'],
  );
});

test('what was left out of modules, by their numbers and squares; what ranks cost, by their norms', () => {
  const [first, second] = MODULES.map(({ module }) => module) as [CombinedModule, CombinedModule];
  const { total } = combinedLayers([
    { ...first, norms: [3, 4, 0], pruned: { numbers: 0.5, squares: 0.2 }, norm: 4, error: 0.6 },
    { ...second, norms: [0, 0, 5], pruned: { numbers: 0.2, squares: 0.1 }, norm: 12, error: 0 },
  ]);
  near(total.pruned!.numbers, (2 * 0.5 + 0.2) / 3, 'numbers');
  near(total.pruned!.squares, (25 * 0.2 + 25 * 0.1) / 50, 'squares');
  assert.equal(total.outvoted, undefined);
  // Before the cut the norms were 5 and 12; 3 was lost.
  near(total.error, 3 / 13, 'error');
});
