// The smallest subspace that learns a run: variants of a run file in real workers, kept, taken up again and found.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { runVariant } from '../../src/engines/runVariants.js';
import type { VariantsJob } from '../../src/engines/runVariants.js';
import type { WorkerRun } from '../../src/engines/workerRun.js';
import type { RunEvent } from '../../src/training/events.js';
import { problem, temporaryFolder } from '../support/adapters.js';
import { ROOT } from '../support/fixtures.js';
import { WORKER, document, run as cli } from '../unit/cli/support.js';
import { eventsOf } from '../unit/training/jobs.js';
import { makeModel, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));
const { file } = await makeRun(path.join(folder, 'run'), model, {
  training: { max_steps: 12, per_device_train_batch_size: 4, learning_rate: 1e-2, save_steps: 3, eval_steps: 12 },
  runtime: { threads: 1 },
});

interface Results {
  readonly metric: string;
  readonly target: number;
  readonly start: number;
  readonly full: number;
  readonly d90: number | null;
  readonly below: number | null;
  readonly dimensions: readonly { intrinsic_dim: number; value: number | null; reached: boolean }[];
  readonly runs: readonly {
    method: string;
    trainable: number;
    learning_rate: number;
    seed: number;
    folder: string;
  }[];
}

test('intrinsic-dimension: full fine-tuning, then dimensions until one reaches its share; told, written and found again', async () => {
  const out = path.join(folder, 'results');
  const args = ['intrinsic-dimension', file, '--out', out, '--share', '0.2', '--json'];
  const grid = ['--dimensions', '3,40,1000', '--learning-rates', '0.02,0.05', '--halvings', '1'];
  const first = await cli([...args, ...grid]);
  assert.equal(first.code, 0, first.err);
  const found = document(first) as unknown as Results;
  assert.equal(found.metric, 'eval_loss');
  assert.ok(Math.abs(found.target - (found.start - 0.2 * (found.start - found.full))) < 1e-9);
  // Of 3 numbers none is left beside SAID's factors of two layers and the rest.
  assert.deepEqual(found.dimensions[0], {
    intrinsic_dim: 3,
    learning_rate: null,
    value: null,
    least: null,
    most: null,
    reached: false,
  });
  assert.match(first.err, /d 3: too few for SAID/);
  for (const { value, reached } of found.dimensions.slice(1)) assert.equal(reached, value! <= found.target);
  const reached = found.dimensions.filter((each) => each.reached).map((each) => each.intrinsic_dim);
  assert.equal(found.d90, reached.length === 0 ? null : Math.min(...reached));
  const subspaces = found.runs.filter(({ method }) => method === 'intrinsic');
  assert.deepEqual(
    [...new Set(subspaces.map(({ trainable }) => trainable))].sort((a, b) => a - b),
    found.dimensions.slice(1).map((each) => each.intrinsic_dim),
  );
  assert.deepEqual(JSON.parse(await readFile(path.join(out, 'results.json'), 'utf8')), found);
  const csv = (await readFile(path.join(out, 'results.csv'), 'utf8')).trimEnd().split('\n');
  assert.equal(csv.length, found.runs.length + 1);
  assert.match(csv[0]!, /^method,intrinsic_dim,learning_rate,seed,value,/);

  const again = await cli([...args.slice(0, -1), ...grid]);
  assert.equal(again.code, 0, again.err);
  assert.match(again.out, /d20|no dimension tried/);
  for (const { folder: own } of found.runs) assert.equal((await readdir(path.dirname(own))).length, 1, own);

  // Another run file has no place in the same folder.
  const other = await makeRun(path.join(folder, 'other'), model, {});
  const mixed = await cli(['intrinsic-dimension', other.file, '--out', out]);
  assert.equal(mixed.code, 2, mixed.err);
  assert.match(mixed.err, /holds the results of .*run.*small\.peft\.yaml/);
  assert.deepEqual(JSON.parse(await readFile(path.join(out, 'results.json'), 'utf8')), found);

  // A known value of full fine-tuning is not measured again; other seeds are other runs.
  const given = ['--full', String(found.full), '--seeds', '1', '--dimensions', '20', '--learning-rates', '0.05'];
  const known = document(await cli([...args, ...given, '--variant', 'DID'])) as unknown as Results;
  assert.deepEqual(
    known.runs.map(({ method, seed }) => [method, seed]),
    [['intrinsic', 1]],
  );
  assert.equal(known.full, found.full);
});

test('a learning rate that diverges does not count, with any seed; where all do, that is the reason of the end', async () => {
  const dimensions = [
    '--full',
    '0.01',
    '--dimensions',
    '20',
    '--seeds',
    '1,2',
    '--out',
    path.join(folder, 'wild'),
  ];
  const mixed = await cli(['intrinsic-dimension', file, ...dimensions, '--learning-rates', '1e30,0.05', '--json']);
  assert.equal(mixed.code, 0, mixed.err);
  assert.match(mixed.err, /learning rate 1e\+30 does not count: d-20-rate-1e\+30-seed-1 ended with/);
  const found = document(mixed) as unknown as Results;
  assert.deepEqual(
    found.runs.map(({ learning_rate: rate }) => rate),
    [0.05, 0.05],
  );
  const wild = await cli(['intrinsic-dimension', file, ...dimensions, '--learning-rates', '1e30']);
  assert.equal(wild.code, 1, wild.err);
  assert.match(wild.err, /loss NaN|not finite|gradient norm/);
});

test('a variant that is stopped goes on from its checkpoint, and one that ended is found', async () => {
  const events: RunEvent[] = [];
  let present: WorkerRun | undefined;
  const job: VariantsJob = {
    file,
    overrides: ['training.max_steps=300'],
    folder: path.join(folder, 'variants'),
    worker: WORKER,
    onRun: (run) => (present = run),
    tell(event) {
      events.push(event);
      if (event.type === 'step' && event.step === 5) present?.stop();
    },
    print: () => undefined,
  };
  const variant = { name: 'lora', overrides: ['method={type: lora, r: 2}'] };
  assert.equal(await runVariant(job, variant), undefined);
  const stopped = eventsOf(events, 'finished').at(-1)!;
  assert.equal(stopped.reason, 'stopped');
  const whole = await runVariant(job, variant);
  assert.equal(eventsOf(events, 'started').at(-1)!.resumedFrom, stopped.steps);
  assert.deepEqual([whole?.steps, whole?.isKept], [300, false]);
  assert.ok(whole!.end['eval_loss']! < whole!.start['eval_loss']!);
  const told = events.length;
  const kept = await runVariant(job, variant);
  assert.deepEqual(kept, { ...whole!, isKept: true });
  assert.equal(events.length, told);

  // Other rows: the run that was found is another's.
  const rows = path.join(path.dirname(file), 'train.jsonl');
  const lines = await readFile(rows, 'utf8');
  await writeFile(rows, lines.split('\n').slice(1).join('\n'));
  const ofOthers = await runVariant({ ...job, overrides: ['training.max_steps=3'] }, variant);
  assert.equal(
    (await runVariant({ ...job, overrides: ['training.max_steps=3'] }, variant))?.folder,
    ofOthers?.folder,
  );
  await writeFile(rows, lines);
  const ofOwn = await runVariant({ ...job, overrides: ['training.max_steps=3'] }, variant);
  assert.deepEqual([ofOwn?.isKept, ofOwn?.folder === ofOthers?.folder], [false, false]);

  const broken = { name: 'broken', overrides: ['method={type: lora, target_modules: [q_porj]}'] };
  await assert.rejects(runVariant(job, broken), problem('targets.no-match', 'q_porj'));
  const unknown = { name: 'unknown', overrides: ['method={type: lorra}'] };
  await assert.rejects(runVariant(job, unknown), problem('config.unknown-value', 'lorra'));
});

test('intrinsic-dimension: Ctrl-C ends the run after its step, exit 130', async () => {
  const args = [
    'intrinsic-dimension',
    file,
    '--out',
    path.join(folder, 'long'),
    '--set',
    'training.max_steps=100000',
  ];
  const child = spawn(process.execPath, ['--import', 'tsx', path.join(ROOT, 'src/cli.ts'), ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let notes = '';
  const asks = setInterval(() => {
    // Its first run is in its folder: it trains, or is about to.
    if (!existsSync(path.join(folder, 'long/runs'))) return;
    clearInterval(asks);
    child.kill('SIGINT');
  }, 1000);
  child.stderr.on('data', (chunk: Buffer) => (notes += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearInterval(asks);
  assert.equal(code, 130, notes);
  assert.match(notes, /the same command goes on/);
});

test('intrinsic-dimension: what cannot be is refused before anything runs', async () => {
  const refused = async (...more: string[]): Promise<string> => {
    const { code, err } = await cli(['intrinsic-dimension', file, '--out', path.join(folder, 'refused'), ...more]);
    assert.equal(code, 2, err);
    return err;
  };
  assert.match(await refused('--dimensions', '10,x'), /--dimensions holds "x"/);
  assert.match(await refused('--dimensions', '1.5'), /whole numbers from 1 up/);
  assert.match(await refused('--learning-rates', '0'), /numbers above 0/);
  assert.match(await refused('--share', '1.5'), /--share is 1.5/);
  assert.match(await refused('--variant', 'SAD'), /DID or SAID/);
  assert.match(await refused('--halvings', '-1'), /--halvings is -1/);
  assert.match(await refused('--set', 'method={type: lorra}'), /lorra/);
  assert.match(
    await refused('--metric', 'eval_accuracy', '--dimensions', '10'),
    /one of eval_loss, eval_token_accuracy/,
  );
  assert.match(await refused('--full', '1', '--dimensions', '1000000'), /intrinsic_dim is 1000000/);
  assert.match(await refused('--full', '-1'), /--full is -1/);
  assert.match(await refused('--full', '85', '--metric', 'eval_token_accuracy'), /a share from 0 to 1/);
  // A file stands where the folder is to be.
  const inFile = await cli(['intrinsic-dimension', file, '--out', path.join(file, 'results')]);
  assert.equal(inFile.code, 2, inFile.err);
  assert.match(inFile.err, /the folder cannot be made/);
});

test('intrinsic-dimension: what is too small for SAID or more than the weights have is passed over', async () => {
  const args = ['intrinsic-dimension', file, '--out', path.join(folder, 'edges'), '--json', '--full', '0.001'];
  const ended = await cli([...args, '--dimensions', '3,10,1000000,2000000', '--learning-rates', '0.01']);
  assert.equal(ended.code, 0, ended.err);
  assert.match(ended.err, /d 3: too few for SAID/);
  assert.match(ended.err, /d 1000000: more than the numbers/);
  const { d90, below, dimensions } = document(ended) as unknown as Results;
  assert.deepEqual([d90, below, dimensions.map(({ intrinsic_dim: each }) => each)], [null, 10, [3, 10]]);
});
