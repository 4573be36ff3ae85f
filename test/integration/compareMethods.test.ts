// Methods compared on one run: real workers, resumed after a kill, refused and failing methods, bad input.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { MethodComparison } from '../../src/engines/compareMethods/comparison.js';
import { METHODS } from '../../src/methods/registry.js';
import { temporaryFolder } from '../support/adapters.js';
import { ROOT } from '../support/fixtures.js';
import { document, run as cli } from '../unit/cli/support.js';
import type { Ran } from '../unit/cli/support.js';
import { makeModel, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));
const { file } = await makeRun(path.join(folder, 'run'), model, {
  training: { max_steps: 6, per_device_train_batch_size: 4, learning_rate: 1e-2, save_steps: 2, eval_steps: 6 },
  runtime: { threads: 1 },
});
const PROGRAM = ['--import', 'tsx', path.join(ROOT, 'src/cli.ts')];

function comparison(ran: Ran): MethodComparison {
  return document(ran) as unknown as MethodComparison;
}

function compare(out: string, ...more: string[]): Promise<Ran> {
  return cli(['compare-methods', file, '--out', path.join(folder, out), ...more]);
}

test('three methods with two seeds and rates: measured, told, written, found again; one that does not fit says why', async () => {
  const args = ['--methods', 'lora{r=2},ia3,full,bitfit', '--seeds', '2', '--learning-rates', 'x1,x3'];
  const first = await compare('all', ...args, '--json');
  assert.equal(first.code, 0, first.err);
  const found = comparison(first);
  // Two rates with the first seed, the better one with the second.
  assert.deepEqual([found.done, found.of, found.seeds], [9, 9, [42, 43]]);
  const [lora, ia3, full, bitfit] = found.methods;
  for (const each of [lora!, ia3!, full!]) {
    assert.equal(each.state, 'done', each.method);
    assert.equal(each.runs.length, 3);
    const losses = each.rates.map(({ loss }) => loss!);
    const best = losses[0]! <= losses[1]! ? 0 : 1;
    assert.equal(each.learning_rate, each.rates[best]!.learning_rate);
    const counted = each.runs.filter((run) => run.learning_rate === each.learning_rate);
    assert.deepEqual(
      counted.map(({ seed }) => seed),
      [42, 43],
    );
    const { results } = each;
    const [one, two] = counted.map(({ loss }) => loss) as [number, number];
    assert.ok(Math.abs(results!.loss.mean - (one + two) / 2) < 1e-12);
    assert.ok(Math.abs(results!.loss.deviation! - Math.abs(one - two) / Math.SQRT2) < 1e-12);
    assert.equal(results!.loss.n, 2);
    assert.ok(results!.start!.mean > results!.loss.mean, `${each.method} learns`);
    for (const run of counted) {
      assert.ok(run.peak_memory > 2 ** 20 && run.seconds > 0 && run.step_seconds > 0 && run.bytes > 0);
      assert.equal(run.steps, 6);
      // Checkpoints of a run that has ended are for nothing.
      assert.ok(!(await readdir(run.folder)).some((name) => name.startsWith('checkpoint')));
    }
  }
  assert.equal(full!.share, 1);
  assert.ok(full!.results!.bytes.mean > 10 * lora!.results!.bytes.mean);
  // Full fine-tuning gets a tenth of the rate that the file has for LoRA.
  assert.deepEqual([lora!.rates[0]!.learning_rate, full!.rates[0]!.learning_rate], [0.01, 0.001]);
  assert.equal(lora!.rates[1]!.learning_rate, 0.03);
  const { state, problem, runs } = bitfit!;
  assert.deepEqual([state, problem?.code, runs], ['refused', 'bitfit.no-bias', []]);

  const out = path.join(folder, 'all');
  assert.deepEqual(JSON.parse(await readFile(path.join(out, 'results.json'), 'utf8')), found);
  const csv = (await readFile(path.join(out, 'results.csv'), 'utf8')).trimEnd().split('\n');
  assert.equal(csv.length, 1 + 9 + 1);
  assert.match(await readFile(path.join(out, 'results.md'), 'utf8'), /^- bitfit was not run: .*no biases/m);
  assert.match(await readFile(path.join(out, 'results.svg'), 'utf8'), /^<svg [^]*<\/svg>\n$/);

  const again = await compare('all', ...args, '--sort', 'trainable');
  assert.equal(again.code, 0, again.err);
  const rows = again.out.split('\n').map((line) => line.split(/\s/)[0]);
  assert.deepEqual(rows.slice(0, 5), ['METHOD', 'ia3', 'lora{r=2}', 'full', 'bitfit']);
  assert.deepEqual(JSON.parse(await readFile(path.join(out, 'results.json'), 'utf8')), found);
  for (const { folder: own } of found.methods.flatMap((each) => each.runs)) {
    assert.equal((await readdir(path.dirname(own))).length, 1, own);
  }
});

test('a comparison that is killed goes on where it was, with the same result', async () => {
  const args = ['--methods', 'lora{r=2},ia3,prompt_tuning', '--set', 'training.max_steps=60'];
  const whole = comparison(await compare('whole', ...args, '--json'));
  const out = path.join(folder, 'killed');
  const child = spawn(process.execPath, [...PROGRAM, 'compare-methods', file, '--out', out, ...args], {
    cwd: ROOT,
    stdio: 'ignore',
  });
  const results = path.join(out, 'results.json');
  const done = async (): Promise<number> =>
    existsSync(results) ? (JSON.parse(await readFile(results, 'utf8')) as MethodComparison).done : 0;
  while (!((await done()) === 1 && existsSync(path.join(out, 'runs/ia3-rate-0.01-seed-42')))) {
    assert.equal(child.exitCode, null, 'it was over before it could be killed');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  child.kill('SIGKILL');
  await new Promise((resolve) => child.on('close', resolve));
  const before = JSON.parse(await readFile(results, 'utf8')) as MethodComparison;
  const again = await compare('killed', ...args, '--json');
  assert.equal(again.code, 0, again.err);
  const found = comparison(again);
  assert.deepEqual(found.methods[0], before.methods[0]);
  assert.deepEqual(
    found.methods.map(({ results: each }) => each?.loss),
    whole.methods.map(({ results: each }) => each?.loss),
  );
});

test('Ctrl-C ends the run after its step, exit 130, and leaves what is known', async () => {
  const out = path.join(folder, 'long');
  const args = ['--methods', 'ia3,lora', '--set', 'training.max_steps=100000'];
  const child = spawn(process.execPath, [...PROGRAM, 'compare-methods', file, '--out', out, ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let notes = '';
  child.stderr.on('data', (chunk: Buffer) => (notes += chunk.toString()));
  const asks = setInterval(() => {
    if (!existsSync(path.join(out, 'runs'))) return;
    clearInterval(asks);
    child.kill('SIGINT');
  }, 200);
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearInterval(asks);
  assert.equal(code, 130, notes);
  assert.match(notes, /the same command goes on/);
  const left = JSON.parse(await readFile(path.join(out, 'results.json'), 'utf8')) as MethodComparison;
  assert.deepEqual([left.done, left.of], [0, 2]);
});

test('a method that fails is in the table with its reason; a rate that diverges does not count', async () => {
  const ran = await compare('wild', '--methods', 'lora,full', '--learning-rates', '1e30,0.05', '--json');
  assert.equal(ran.code, 0, ran.err);
  for (const { state, learning_rate: rate, rates } of comparison(ran).methods) {
    assert.deepEqual([state, rate], ['done', 0.05]);
    assert.deepEqual(rates[0], { learning_rate: 1e30, loss: null });
  }
  const all = await compare('failed', '--methods', 'lora', '--learning-rates', '1e30', '--seeds', '3');
  assert.equal(all.code, 1, all.err);
  assert.match(all.out, /^lora failed: .*(NaN|finite)/m);
  assert.match(all.out, /^lora\s.*–/m);
  const [failed] = (
    JSON.parse(await readFile(path.join(folder, 'failed/results.json'), 'utf8')) as MethodComparison
  ).methods;
  assert.deepEqual([failed!.state, failed!.runs, failed!.results], ['failed', [], undefined]);
});

test('matched by trainable share: each method is given the size that trains as many numbers', async () => {
  const args = [
    '--methods',
    'lora,prefix_tuning,fish_mask,adapter,full,lora{r=1}',
    '--set',
    'training.max_steps=2',
  ];
  const ran = await compare('matched', ...args, '--match-trainable', '2%', '--json');
  assert.equal(ran.code, 0, ran.err);
  const { matched, methods, parameters } = comparison(ran);
  assert.equal(matched!.trainable, Math.round(0.02 * parameters));
  for (const { method, trainable } of methods.slice(0, 4)) {
    assert.ok(Math.abs(trainable! / matched!.trainable - 1) < 0.25, `${method}: ${trainable}`);
  }
  assert.match(methods[0]!.note!, /^r \d+/);
  assert.match(methods[4]!.note!, /no size/);
  assert.match(methods[5]!.note!, /r is given/);
  // What was planned is what trained.
  for (const { trainable, runs } of methods) assert.equal(runs[0]!.trainable, trainable);
});

test('--plan tells of every method and writes nothing; --max-memory leaves out what is above it', async () => {
  const out = path.join(folder, 'planned');
  const ran = await compare('planned', '--plan', '--json');
  assert.equal(ran.code, 0, ran.err);
  assert.ok(!existsSync(out));
  const { methods, of } = comparison(ran);
  assert.equal(methods.length, METHODS.length);
  for (const { method, state, trainable, planned, problem } of methods) {
    assert.ok(state === 'waiting' ? trainable! > 0 && planned! > 0 : problem !== undefined, method);
  }
  assert.equal(of, methods.filter(({ state }) => state === 'waiting').length);
  const limited = await compare('planned', '--plan', '--max-memory', '1MB', '--methods', 'lora,bitfit');
  assert.match(limited.out, /^lora was left out: it is planned to need .* MiB/m);
  assert.match(limited.out, /^bitfit was not run: /m);
});

test('what cannot be is refused before anything runs', async () => {
  const refused = async (...more: string[]): Promise<string> => {
    const { code, err } = await compare('refused', ...more);
    assert.equal(code, 2, err);
    assert.ok(!existsSync(path.join(folder, 'refused')), err);
    return err;
  };
  assert.match(await refused('--methods', 'lorra'), /no method lorra[^]*Did you mean lora/);
  assert.match(await refused('--methods', 'lora,lora'), /named twice/);
  assert.match(await refused('--methods', 'lora{rr=4}'), /^error --methods lora\{rr=4\}: the key/m);
  assert.match(await refused('--methods', 'lora', '--set', 'method.r=4'), /--set method\.r=4 says nothing/);
  assert.match(await refused('--methods', 'lora{r=none}'), /r/);
  assert.match(await refused('--match', 'lora,full'), /one method/);
  assert.match(await refused('--match', 'bitfit'), /no biases/);
  assert.match(await refused('--match', 'lora', '--match-trainable', '1%'), /both given/);
  assert.match(await refused('--match-trainable', 'much'), /such as 0\.5%/);
  assert.match(await refused('--match-trainable', '200%'), /such as 0\.5%/);
  assert.match(await refused('--learning-rates', '1e-3,fast'), /holds "fast"/);
  assert.match(await refused('--learning-rates', 'x0'), /above 0/);
  assert.match(await refused('--seeds', '0'), /how many, 1 to/);
  assert.match(await refused('--seeds', '1.5,2'), /whole numbers/);
  assert.match(await refused('--max-memory', '8'), /--max-memory is "8"/);
  assert.match(await refused('--sort', 'beauty'), /one of loss/);
  const { file: bare } = await makeRun(path.join(folder, 'bare'), model, { data: { train: 'train.jsonl' } });
  assert.match((await cli(['compare-methods', bare])).err, /no rows are held out/);
  assert.match((await cli(['compare-methods', path.join(folder, 'none.peft.yaml')])).err, /not found/);
  assert.equal((await cli(['compare-methods', folder])).code, 2);
});

test('a folder is one comparison’s: of one run file, and of one process at a time', async () => {
  const out = path.join(folder, 'shared');
  const args = ['--methods', 'ia3', '--set', 'training.max_steps=1'];
  assert.equal((await compare('shared', ...args)).code, 0);
  const { file: other } = await makeRun(path.join(folder, 'other'), model, {});
  const mixed = await cli(['compare-methods', other, '--out', out]);
  assert.equal(mixed.code, 2, mixed.err);
  assert.match(mixed.err, /holds the results of .*run.*small\.peft\.yaml/);

  const busy = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
  try {
    await writeFile(path.join(out, 'worker.pid'), `${busy.pid} ${hostname()}\n`);
    const second = await compare('shared', ...args);
    assert.equal(second.code, 2, second.err);
    assert.match(second.err, /another comparison is at work/);
  } finally {
    busy.kill('SIGKILL');
    await new Promise((resolve) => busy.on('close', resolve));
  }
  assert.equal((await compare('shared', ...args)).code, 0);
  assert.ok(!existsSync(path.join(out, 'worker.pid')));

  await writeFile(path.join(out, 'results.json'), '{"a": 1}');
  assert.match((await compare('shared', ...args)).err, /holds no comparison of methods/);
  await mkdir(path.join(folder, 'file'));
  await writeFile(path.join(folder, 'file/out'), '');
  const inFile = await compare('file/out/there', ...args);
  assert.equal(inFile.code, 2, inFile.err);
});
