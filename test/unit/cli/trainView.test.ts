import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTrainView } from '../../../src/cli/trainView.js';
import type { Coverage, Planned, RunEvent, Step } from '../../../src/training/events.js';
import { captureIo } from './support.js';

const started: RunEvent = {
  type: 'started',
  time: '2026-01-01T00:00:00Z',
  version: '0',
  engine: 'embedded',
  config: '/a/x.peft.yaml',
  folder: '/a/runs/x',
  model: '/a/m',
  method: 'lora',
  totalSteps: 200,
  seed: 1,
};

const coverage: Coverage = {
  type: 'coverage',
  targets: [
    { entry: 'q_proj', matched: 2 },
    { entry: 'w_proj', matched: 0 },
  ],
  modules: [{ path: 'a.q_proj', shape: [8, 8], trainable: 1000 }],
  layersCovered: 1,
  layers: 2,
  trainable: 1000,
  total: 50000,
  saves: 'adapter_model.safetensors',
  warnings: [{ code: 'data.x', severity: 'warning', message: 'rows are odd' }],
};

function step(at: number): Step {
  return {
    type: 'step',
    step: at,
    epoch: 1,
    loss: 2 - at / 1000,
    learningRate: 1e-3,
    gradientNorm: 1,
    tokens: 9,
    supervisedTokens: 4,
    rows: 8,
    seconds: 0.5,
  };
}

function shown(events: readonly RunEvent[], columns?: number): { out: string; err: string } {
  const captured = captureIo({ columns });
  const view = createTrainView(captured.io);
  for (const event of events) view(event);
  return { out: captured.out(), err: captured.err() };
}

test('coverage: targets with what they matched, layers, share of the parameters', () => {
  const { out } = shown([coverage]);
  assert.match(out, /Target q_proj: 2 modules\nTarget w_proj: 0 modules\n/);
  assert.match(out, /^Modules: 1, in 1 of 2 layers$/m);
  const factor = { name: '*.q_proj (L, R)', paths: ['a.q_proj'] };
  const modules = [...coverage.modules, { path: factor.name, shape: [8, 8], trainable: 0 }];
  assert.match(shown([{ ...coverage, modules, shared: [factor] }]).out, /^Modules: 1, in 1 of 2 layers$/m);
  assert.match(out, /1,000 of 50,000 parameters \(2\.0 %\)/);
  assert.match(out, /adapter_model\.safetensors/);
});

test('warnings go to standard error, those of the coverage with their code', () => {
  const { out, err } = shown([{ type: 'log', level: 'warning', message: 'so are columns' }, coverage]);
  assert.equal(err, 'warning so are columns\nwarning rows are odd [data.x]\n');
  assert.doesNotMatch(out, /odd/);
});

const sample: RunEvent = {
  type: 'sample',
  split: 'train',
  line: 7,
  spans: [
    { text: 'Q\u001b[2J?\n', supervised: false },
    { text: ' A', supervised: true },
  ],
};

test('samples mark what the loss counts, and their control characters do nothing', () => {
  assert.match(shown([sample]).out, /line 7[^]*\n {2}Q\\x1b\[2J\?\n {2}⟦ A⟧\n$/);
  const coloured = shown([sample], 80).out;
  assert.ok(coloured.includes('\u001b[1m\u001b[32m A\u001b[39m\u001b[22m'), coloured);
  assert.ok(!coloured.includes('\u001b[2J'), coloured);
});

test('without a terminal: plain lines, of many steps about forty', () => {
  const steps = Array.from({ length: 200 }, (_, at) => step(at + 1));
  const { out, err } = shown([started, ...steps]);
  const lines = out.split('\n').filter((line) => line.startsWith('step '));
  assert.equal(lines.length, 41);
  assert.equal(lines[0], 'step 1/200  loss 1.999  lr 1.0e-3  16.0 rows/s  1 min 40 s left');
  assert.match(lines.at(-1)!, /^step 200\/200 /);
  assert.doesNotMatch(out + err, /\p{Cc}(?<!\n)/u);
});

test('on a terminal: a bar on standard error, no step lines', () => {
  const { out, err } = shown([started, step(1), step(200)], 100);
  assert.doesNotMatch(out, /step 1/);
  assert.match(err, /Training {2}█+ {2}200\/200 {2}loss 1\.800 {2}lr 1\.0e-3 {2}16\.0 rows\/s/);
});

test('the end: what changed on held-out rows, and where the adapter is', () => {
  const { out } = shown([
    {
      type: 'finished',
      reason: 'stopped',
      adapter: '/a/adapter',
      metrics: {
        initial_eval_loss: 3,
        initial_eval_token_accuracy: 0.25,
        initial_eval_row_accuracy: 0,
        eval_loss: 1.5,
        eval_token_accuracy: 0.75,
        eval_row_accuracy: 0.5,
      },
      steps: 12,
      seconds: 65,
      peakMemory: 2 ** 20,
    },
  ]);
  assert.equal(
    out,
    'Stopped after 12 steps and 1 min 05 s; peak memory 1 MiB\n' +
      'Held-out rows: loss 3.000 → 1.500, tokens right 25.0 % → 75.0 %, rows right 0.0 % → 50.0 %\n' +
      'Written: /a/adapter\n',
  );
});

test('the memory that is predicted before the first step, and beside it the peak', () => {
  const plan: Planned = {
    type: 'plan',
    batch: { rows: 4, length: 180, supervised: 240 },
    plan: {
      total: 1.5 * 2 ** 30,
      peak: 'step',
      parts: [
        { name: 'weights', bytes: 2 ** 29, formula: '', fileBacked: true },
        { name: 'activations', bytes: 2 ** 30, formula: '' },
      ],
      moments: [],
      parameters: 1,
      trainable: 1,
      adapterFileBytes: 1,
      assumptions: [],
    },
  };
  const end: RunEvent = {
    type: 'finished',
    reason: 'completed',
    adapter: '/a',
    metrics: {},
    steps: 1,
    seconds: 1,
    peakMemory: 1.4 * 2 ** 30,
  };
  const { out } = shown([plan, end]);
  assert.equal(
    out,
    'Memory: 1.5 GiB predicted at the peak (step, 4 × 180 tokens); 512 MiB of it are pages of files, which the system can take back\n' +
      'Finished after 1 steps and 1.0 s; peak memory 1.4 GiB (predicted: 1.5 GiB)\n' +
      'Written: /a\n',
  );
});
