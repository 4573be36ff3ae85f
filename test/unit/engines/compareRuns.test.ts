import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import { compareRuns } from '../../../src/engines/compareRuns.js';

let root: string;
before(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'peft-compare-'));
});
after(() => rm(root, { recursive: true, force: true }));

/** What a test gives an event; the reader looks at no more. */
type Given = Readonly<Record<string, unknown>>;

const step = (at: number, loss: number): Given => ({ type: 'step', step: at, loss, seconds: 0.5 });
const evaluation = (at: number, loss: number): Given => ({
  type: 'evaluation',
  split: 'validation',
  step: at,
  loss,
});

async function run(name: string, events: readonly Given[], config?: string): Promise<string> {
  const folder = path.join(root, name);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'events.jsonl'), events.map((event) => `${JSON.stringify(event)}\n`).join(''));
  if (config !== undefined) await writeFile(path.join(folder, 'run.peft.yaml'), config);
  return folder;
}

const config = (r: number, seed: number): string =>
  `model: /m\nmethod:\n  - type: lora\n    r: ${r}\n    target_modules: [q, v]\ntraining:\n  seed: ${seed}\n`;

test('settings that differ, curves and results stand side by side', async () => {
  const one = await run(
    'sql/1',
    [
      { type: 'started', config: '/w/sql.peft.yaml', method: 'lora', totalSteps: 2 },
      { type: 'coverage', trainable: 128, targets: [], modules: [], warnings: [] },
      step(1, 3),
      evaluation(1, 2.5),
      step(2, 2),
      {
        type: 'finished',
        reason: 'completed',
        adapter: '/nowhere',
        steps: 2,
        metrics: { eval_loss: 2 },
        peakMemory: 9,
      },
    ],
    config(8, 1),
  );
  const other = await run(
    'sql/2',
    [{ type: 'started', config: '/w/sql.peft.yaml', method: 'lora' }, step(1, 4)],
    config(16, 1),
  );
  const { runs, settings } = await compareRuns([one, other]);
  assert.deepEqual(settings, [{ key: 'method.r', values: ['8', '16'] }]);
  assert.deepEqual(
    runs.map(({ label, end, steps, seconds, trainable, peakMemory, metrics }) => ({
      label,
      end,
      steps,
      seconds,
      trainable,
      peakMemory,
      metrics,
    })),
    [
      {
        label: 'sql 1',
        end: 'completed',
        steps: 2,
        seconds: 1,
        trainable: 128,
        peakMemory: 9,
        metrics: { eval_loss: 2 },
      },
      {
        label: 'sql 2',
        end: 'unfinished',
        steps: 1,
        seconds: 0.5,
        trainable: undefined,
        peakMemory: undefined,
        metrics: {},
      },
    ],
  );
  assert.deepEqual(runs[0]!.loss, { steps: [1, 2], values: [3, 2] });
  assert.deepEqual(runs[0]!.evaluationLoss, { steps: [1], values: [2.5] });
  // Its adapter is gone.
  assert.equal(runs[0]!.norms, undefined);
});

test('after a resume the last word on a step counts', async () => {
  const resumed = await run('a/1', [
    { type: 'started', config: '/w/sql.peft.yaml', method: 'lora' },
    step(1, 3),
    step(2, 9),
    evaluation(2, 8),
    { type: 'failed', problem: { code: 'x', message: 'x' } },
    { type: 'started', config: '/w/sql.peft.yaml', method: 'lora', resumedFrom: 1 },
    step(2, 2),
    evaluation(2, 1),
  ]);
  const other = await run('b/1', [{ type: 'started', config: '/w/sql.peft.yaml', method: 'lora' }]);
  const { runs } = await compareRuns([resumed, other]);
  assert.deepEqual(runs[0]!.loss, { steps: [1, 2], values: [3, 2] });
  assert.deepEqual(runs[0]!.evaluationLoss, { steps: [2], values: [1] });
  assert.equal(runs[0]!.end, 'unfinished');
  assert.deepEqual(
    runs.map(({ label }) => label),
    ['a', 'b'],
  );
  // There is no config to compare: that is said.
  assert.equal(runs[0]!.problems.length, 1);
});

test('norms of the adapters are summed up per layer, also of a run that was moved', async () => {
  const finished = { type: 'finished', reason: 'completed', steps: 1, metrics: {}, peakMemory: 1 };
  const started = { type: 'started', config: '/w/sql.peft.yaml', folder: '/before', method: 'lora' };
  const one = await run('n/1', [started, { ...finished, adapter: '/before/adapter' }]);
  await cp(path.resolve('test/fixtures/adalora/phases/final'), path.join(one, 'adapter'), { recursive: true });
  const other = await run('n/2', [
    { ...started, folder: '/x' },
    { ...finished, adapter: path.join(one, 'adapter') },
  ]);
  const { runs } = await compareRuns([one, other]);
  const norms = runs[0]!.norms!;
  assert.ok(norms.length > 0);
  assert.ok(norms.every(({ layer, norm }) => layer !== undefined && norm > 0));
  assert.deepEqual(runs[1]!.norms, norms);
});

test('too few runs, and folders without one, are refused', async () => {
  const one = await run('c/1', [{ type: 'started', config: '/w/sql.peft.yaml', method: 'lora' }]);
  const codeOf = async (folders: readonly string[]): Promise<string> =>
    compareRuns(folders).then(
      () => 'none',
      (error: unknown) => (error instanceof ProblemError ? error.problem.code : String(error)),
    );
  assert.equal(await codeOf([one]), 'compare.count');
  assert.equal(await codeOf([one, one]), 'compare.count');
  assert.equal(await codeOf([one, path.join(root, 'nothing')]), 'compare.no-run');
});
