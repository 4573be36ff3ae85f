import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseArguments } from '../../../../src/cli/arguments.js';
import { combine } from '../../../../src/cli/combine.js';
import { factorSumOf } from '../../../../src/cli/combineOptions.js';
import { partWeightsOf } from '../../../../src/cli/combineWeights.js';
import {
  WAYS,
  combineArguments,
  formFault,
  freshForm,
  optionsRead,
  restoredForm,
} from '../../../../src/engines/combination/form.js';
import type { CombinationForm, FormLayers } from '../../../../src/engines/combination/form.js';

const formOf = (changed: Partial<CombinationForm>): CombinationForm => ({
  ...freshForm(['/a', '/b']),
  ...changed,
});

test('a fresh form is the exact sum, and its command has nothing but the adapters', () => {
  assert.equal(formFault(formOf({}), 'factors'), undefined);
  assert.deepEqual(combineArguments(formOf({}), 'factors'), ['combine', '/a', '/b']);
  assert.deepEqual(combineArguments(freshForm(['/a'], '/base'), 'factors'), ['combine', '/a', '--model=/base']);
});

test('every way with every option that it reads is a command that the command line takes, and understands alike', () => {
  for (const way of WAYS) {
    for (const keep of ['usual', 'rank', 'energy'] as const) {
      for (const asPeft of [false, true]) {
        const form = formOf({ way, keep, asPeft, density: 0.3, sign: 'frequency', rank: 4, energy: 0.9, seed: 7 });
        const [, ...args] = combineArguments(form, 'factors');
        const how = factorSumOf(parseArguments(combine, [...args, '--preview']));
        const read = optionsRead(form, 'factors');
        const said = `${way} ${keep} ${asPeft}`;
        assert.equal(how.asPeft === true, read.includes('asPeft') && asPeft, said);
        assert.equal(
          'density' in how.sum ? how.sum.density : undefined,
          read.includes('density') ? 0.3 : undefined,
          said,
        );
        assert.equal('majority_sign_method' in how.sum, read.includes('sign'), said);
        assert.equal(how.seed, read.includes('seed') ? 7 : 0, said);
        const kept = { usual: way === 'svd' ? 'largest' : undefined, rank: { rank: 4 }, energy: { energy: 0.9 } }[
          keep
        ];
        assert.deepEqual(how.kept, read.includes('keep') ? kept : undefined, said);
      }
    }
  }
});

test('weights are in the order of their adapters, also negative ones; a weight of 0 leaves an adapter out', () => {
  const parts = [
    { folder: '/a', weight: -1 },
    { folder: '/b', weight: 0 },
    { folder: '/c', weight: 0.5 },
  ];
  const args = combineArguments(formOf({ parts }), 'factors');
  assert.deepEqual(args, ['combine', '/a', '/c', '--weights=-1,0.5']);
  assert.equal(parseArguments(combine, [...args.slice(1), '--preview']).text('weights'), '-1,0.5');
});

test('layers have weights of their own: an adapter that has none there has its own, and 0 elsewhere does not leave it out', () => {
  const parts = [
    { folder: '/a', weight: 1 },
    { folder: '/b', weight: 0 },
    { folder: '/c', weight: 0 },
  ];
  const layers: FormLayers[] = [
    { layers: ' 0-3,5', weights: { '/b': 0.5 } },
    { layers: 'q_proj', weights: { '/a': 0, '/b': 0 } },
  ];
  const args = combineArguments(formOf({ parts, layers }), 'factors');
  assert.deepEqual(args.slice(1), [
    '/a',
    '/b',
    '--weights=1,0',
    '--layer-weights=0-3,5=1,0.5',
    '--layer-weights=q_proj=0,0',
  ]);
  assert.deepEqual(
    partWeightsOf(parseArguments(combine, args.slice(1)), 2).map(({ layerWeights }) => layerWeights),
    [
      { '0-3,5': 1, q_proj: 0 },
      { '0-3,5': 0.5, q_proj: 0 },
    ],
  );
  assert.deepEqual(formFault(formOf({ layers: [{ layers: ' ', weights: {} }] }), 'factors'), { kind: 'layers' });
  const twice = formOf({ layers: ['1', '1 '].map((each) => ({ layers: each, weights: {} })) });
  assert.deepEqual(formFault(twice, 'factors'), { kind: 'layers' });
  const empty = formOf({ layers: [{ layers: '1', weights: { '/b': null } }] });
  assert.deepEqual(formFault(empty, 'factors'), { kind: 'weight', folder: '/b' });
});

test('adapters of several kinds become a LoRA in all ways, but not as PEFT has it', () => {
  const form = formOf({ way: 'ties', keep: 'rank', rank: 4, asPeft: true });
  assert.deepEqual(optionsRead(form, 'updates'), ['density', 'sign', 'keep']);
  assert.deepEqual(combineArguments(form, 'updates').slice(3), ['--how=ties', '--density=0.2', '--rank=4']);
  assert.equal(formFault(formOf({ parts: [{ folder: '/a', weight: 2 }] }), 'updates'), undefined);
});

test('adapters that are no factors are added as they are: no way, no option', () => {
  const form = formOf({ way: 'ties', density: null, keep: 'rank', rank: null });
  assert.equal(formFault(form, 'places'), undefined);
  assert.deepEqual(optionsRead(form, 'places'), []);
  assert.deepEqual(combineArguments(form, 'places'), ['combine', '/a', '/b']);
});

test('the first fault is told: a weight, too few adapters, an option that is read', () => {
  const part = (weight: number | null): CombinationForm['parts'] => [
    { folder: '/a', weight: 1 },
    { folder: '/b', weight },
  ];
  assert.deepEqual(formFault(formOf({ parts: part(null) }), 'factors'), { kind: 'weight', folder: '/b' });
  assert.equal(formFault(formOf({ parts: part(0) }), 'factors'), undefined, 'one LoRA alone is scaled');
  assert.deepEqual(formFault(formOf({ parts: part(0) }), 'tensors'), { kind: 'few', least: 2 });
  assert.deepEqual(formFault(formOf({ parts: [] }), 'factors'), { kind: 'few', least: 1 });
  for (const density of [null, 0, 1.1]) {
    assert.deepEqual(formFault(formOf({ way: 'ties', density }), 'factors'), { kind: 'density' });
    assert.equal(formFault(formOf({ density }), 'factors'), undefined, 'not read by linear');
  }
  for (const rank of [null, 0, 1.5]) {
    assert.deepEqual(formFault(formOf({ keep: 'rank', rank }), 'factors'), { kind: 'rank' });
  }
  assert.deepEqual(formFault(formOf({ keep: 'energy', energy: 2 }), 'factors'), { kind: 'energy' });
  assert.deepEqual(formFault(formOf({ way: 'dare_ties', seed: -1 }), 'factors'), { kind: 'seed' });
});

test('a form comes back as it was kept; what it does not know is as in a fresh one', () => {
  const layers = [{ layers: '0-3', weights: { '/a': 0.5, '/b': null } }];
  const form = formOf({
    way: 'dare_ties',
    density: 0.5,
    seed: 3,
    asPeft: true,
    keep: 'energy',
    model: '/base',
    layers,
  });
  assert.deepEqual(restoredForm(JSON.parse(JSON.stringify(form))), form);
  assert.deepEqual(restoredForm({ version: 1, parts: [{ folder: '/a', weight: 'x' }, 7], way: 'mean' }), {
    ...freshForm([]),
    parts: [{ folder: '/a', weight: null }],
  });
  for (const other of [undefined, 'x', {}, { ...form, version: 0 }]) assert.equal(restoredForm(other), undefined);
});
