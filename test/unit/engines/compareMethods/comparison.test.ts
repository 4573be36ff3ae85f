import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metricIn, sortedMethods, spreadOf } from '../../../../src/engines/compareMethods/comparison.js';
import { comparisonCsv } from '../../../../src/engines/compareMethods/comparisonCsv.js';
import {
  comparisonMarkdown,
  methodCells,
  methodRemarks,
} from '../../../../src/engines/compareMethods/comparisonText.js';
import { comparedMethod, comparisonOf, refusedMethod } from './comparisons.js';

test('mean and sample deviation; of one value none is known', () => {
  assert.deepEqual(spreadOf([2, 4, 6]), { mean: 4, deviation: 2, n: 3 });
  assert.deepEqual(spreadOf([5]), { mean: 5, deviation: null, n: 1 });
});

test('methods are sorted by what is asked for; those without results are last, in their order', () => {
  const methods = [
    refusedMethod('bitfit', 'no biases'),
    comparedMethod('big', 0.5, [0.2]),
    refusedMethod('another', 'no'),
    comparedMethod('small', 0.01, [0.9]),
  ];
  const names = (sort: Parameters<typeof sortedMethods>[1]): readonly string[] =>
    sortedMethods({ methods, metric: 'eval_row_accuracy' }, sort).map(({ method }) => method);
  assert.deepEqual(names('loss'), ['big', 'small', 'bitfit', 'another']);
  assert.deepEqual(names('metric'), ['big', 'small', 'bitfit', 'another']);
  assert.deepEqual(names('trainable'), ['small', 'big', 'bitfit', 'another']);
  assert.deepEqual(names('size'), ['small', 'big', 'bitfit', 'another']);
  assert.deepEqual(names('name'), ['another', 'big', 'bitfit', 'small']);
  assert.equal(metricIn({ eval_token_accuracy: 1, eval_row_accuracy: 0 }), 'eval_row_accuracy');
  assert.equal(metricIn({ eval_macro_f1: 1, eval_accuracy: 0 }), 'eval_accuracy');
  assert.equal(metricIn({}), null);
});

test('cells have means and deviations, and a dash for what is not there', () => {
  const comparison = comparisonOf([comparedMethod('lora', 0.05, [1, 1.2]), refusedMethod('bitfit', 'no biases')]);
  const [lora, bitfit] = comparison.methods.map((each) => methodCells(each, comparison));
  assert.deepEqual(lora, {
    method: 'lora',
    trainable: '50,000',
    share: '5.0 %',
    start: '2.000',
    loss: '1.100 ± 0.14',
    metric: '45.0 % ± 7.1 %',
    rate: '0.001',
    memory: '256 MiB',
    time: '3.3 s ± 0.4 s',
    step: '250 ms',
    size: '195 KiB',
    n: '2',
  });
  assert.ok(
    Object.values(bitfit!)
      .slice(1)
      .every((cell) => cell === '–'),
  );
});

test('CSV has a line for each run and for each method without one; texts are quoted', () => {
  const lora = comparedMethod('lora{r=4,bias=all}', 0.05, [1, 1.2]);
  const tried = { ...lora.runs[0]!, learning_rate: 0.1, loss: 3 };
  const csv = comparisonCsv(
    comparisonOf([{ ...lora, runs: [tried, ...lora.runs] }, refusedMethod('bitfit', 'no "biases",\nnone')]),
  );
  const [head, ...lines] = csv.trimEnd().split('\n');
  assert.match(head!, /^method,family,state,problem,note,counted,share,learning_rate,seed,/);
  assert.equal(lines.length, 5);
  assert.match(lines[0]!, /^"lora\{r=4,bias=all\}",low-rank,done,,,0,0\.05,0\.1,1,2,3,50000,/);
  assert.match(lines[1]!, /^"lora\{r=4,bias=all\}",low-rank,done,,,1,0\.05,0\.001,1,2,1,50000,/);
  assert.match(lines[3]!, /^bitfit,low-rank,refused,"no ""biases"",$/);
  assert.match(lines[4]!, /^none",,/);
  assert.match(head!, /eval_row_accuracy,eval_token_accuracy$/);
});

test('Markdown has every method, the best first, and the reasons of those without numbers', () => {
  const comparison = comparisonOf([
    refusedMethod('bitfit', 'no biases'),
    comparedMethod('ia3', 0.001, [1.5], { note: 'not matched: it has no size' }),
    comparedMethod('lora', 0.05, [1]),
    comparedMethod('full', 1, [], { state: 'failed', problem: { code: 'x', message: 'out of memory' } }),
  ]);
  const text = comparisonMarkdown(comparison);
  const names = [...text.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name);
  assert.deepEqual(names, ['lora', 'ia3', 'bitfit', 'full']);
  assert.match(text, /^\| method \| loss \| rows right \| share \| trainable \| rate \|/);
  assert.match(text, /^- bitfit was not run: no biases$/m);
  assert.match(text, /^- full failed: out of memory$/m);
  assert.match(text, /^- ia3: not matched: it has no size$/m);
  assert.match(text, /Means ± standard deviations over 2 seeds: 1, 2\./);
});

test('rates that failed are told, and runs of a method that is done', () => {
  const rates = [
    { learning_rate: 0.1, loss: null },
    { learning_rate: 0.001, loss: 1 },
  ];
  const problem = { code: 'x', message: 'numbers that are not finite' };
  const remarks = methodRemarks({ methods: [comparedMethod('lora', 0.05, [1], { rates, problem })] });
  assert.equal(remarks.length, 2);
  assert.match(remarks[0]!, /lora: a run failed, and does not count: numbers that are not finite/);
  assert.match(remarks[1]!, /learning rate 0\.1/);
});
