import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { before, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createInterrupt } from '../../src/cli/interrupt.js';
import { main } from '../../src/cli/main.js';
import { shellWord } from '../../src/common/shellWord.js';
import type { RunEvent } from '../../src/training/events.js';
import { ROOT } from '../support/fixtures.js';
import { captureIo, dataFile, run, temporary, tinyModel } from '../unit/cli/support.js';

const folder = temporary();
const runFile = path.join(folder, 'long.peft.yaml');
before(async () => {
  await tinyModel(folder);
  dataFile(folder, 'rows.jsonl', 16);
  const training = 'training: { max_steps: 100000 }\nruntime: { threads: 1 }\n';
  writeFileSync(runFile, `model: model\ndata: { train: rows.jsonl }\nmethod: { type: lora }\n${training}`);
});

/** A worker that does what `does` says when it is told to train. */
function workerThat(name: string, does: string): string {
  const file = path.join(folder, `${name}.mjs`);
  const listens = `process.on('message', (message) => { if (message.type === 'train') { ${does} } });`;
  writeFileSync(file, `process.on('SIGINT', () => undefined);\n${listens}\n`);
  return file;
}

const CLI = ['--import', 'tsx', path.join(ROOT, 'src/cli.ts')];

// A terminal that closes sends its signal more than once.
for (const signals of [['SIGINT'], ['SIGHUP', 'SIGHUP'], ['SIGTERM']] as const) {
  test(`${signals.join(', ')}: the step is finished, the adapter written, exit 130; only events on standard output`, async () => {
    const args = [...CLI, 'train', runFile, '--json'];
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    const events: RunEvent[] = [];
    let notes = '';
    child.stderr.on('data', (chunk: Buffer) => (notes += chunk.toString()));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = JSON.parse(line) as RunEvent;
      events.push(event);
      if (event.type === 'step' && event.step === 2) for (const signal of signals) child.kill(signal);
    });
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    assert.equal(code, 130, notes);
    const last = events.at(-1)!;
    assert.ok(last.type === 'finished', JSON.stringify(last));
    assert.equal(last.reason, 'stopped');
    assert.ok(last.steps >= 2 && last.steps < 100000);
    assert.ok(existsSync(path.join(last.adapter, 'adapter_model.safetensors')));
    assert.match(notes, /Stopping after this step/);
  });
}

describe('standard output', { skip: process.platform === 'win32' && 'no sh' }, () => {
  const command = [process.execPath, ...CLI, 'methods', '--json'].map((word) => shellWord(word)).join(' ');

  test(
    'that cannot be written: one line on standard error, exit 1',
    { skip: !existsSync('/dev/full') && 'no /dev/full' },
    () => {
      const ran = spawnSync('sh', ['-c', `${command} > /dev/full`], { cwd: ROOT, encoding: 'utf8' });
      assert.equal(ran.status, 1, ran.stderr);
      assert.match(ran.stderr, /^error standard output cannot be written: ENOSPC[^\n]*\n$/);
    },
  );

  test('whose reader is gone: not a word', () => {
    // The reader has left before anything is written.
    const ran = spawnSync('bash', ['-c', `{ sleep 0.3; ${command}; echo "$?" >&3; } 3>&2 | true`], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    assert.equal(ran.stderr, '130\n');
  });
});

test('Ctrl-C while a prompt is awaited on standard input: exit 130 at once', async () => {
  const interrupt = createInterrupt(() => assert.fail('one Ctrl-C is enough'));
  const { io, err } = captureIo({ interrupt, stdin: new PassThrough() });
  const running = main(['generate', path.join(folder, 'model'), '--prompt', '-'], io);
  interrupt.signal();
  assert.equal(await running, 130);
  assert.match(err(), /^Stopping…/);
});

describe('warnings of the run file', () => {
  const odd = ['--set', 'training.eval_steps=2'];

  test('are told beside its errors', async () => {
    const ran = await run(['train', runFile, ...odd, '--set', 'model=not-there']);
    assert.equal(ran.code, 2);
    assert.match(
      ran.err,
      /^error [^]*\[config\.folder-not-found\][^]*^warning [^]*\[config\.nothing-to-evaluate\]/m,
    );
  });

  test('are told when the run fails before its coverage', async () => {
    const failed = { type: 'failed', problem: { code: 'model.odd', message: 'odd' } };
    const worker = workerThat('odd', `process.send(${JSON.stringify(failed)}, () => process.exit(1))`);
    const ran = await run(['train', runFile, ...odd, '--json'], { worker });
    const event = JSON.parse(ran.out) as Extract<RunEvent, { type: 'failed' }>;
    assert.equal(event.problem.code, 'model.odd');
    assert.deepEqual(
      event.others?.map(({ code }) => code),
      ['config.nothing-to-evaluate'],
    );
  });
});

test('what the worker prints cannot steer the terminal', async () => {
  const worker = workerThat('paints', "process.stderr.write('\\u001b[2Jred\\n', () => process.exit(1))");
  const ran = await run(['train', runFile], { worker });
  assert.match(ran.err, /\\x1b\[2Jred/);
  assert.ok(!ran.err.includes('\u001b'));
});

describe('a worker that goes wrong', () => {
  test('one that dies without a word: failed, naming the signal, with a hint', async () => {
    const worker = workerThat('dies', "process.kill(process.pid, 'SIGKILL')");
    const ran = await run(['train', runFile], { worker });
    assert.equal(ran.code, 1);
    assert.match(ran.err, /signal SIGKILL[^]*\[run\.process-ended\][^]*memory/);
    const json = await run(['train', runFile, '--json'], { worker });
    const event = JSON.parse(json.out) as Extract<RunEvent, { type: 'failed' }>;
    assert.deepEqual([json.code, event.type, event.problem.code], [1, 'failed', 'run.process-ended']);
  });

  test('one that exits: its code and its last words', async () => {
    const worker = workerThat('exits', "process.stderr.write('no such library\\n', () => process.exit(7))");
    const ran = await run(['train', runFile], { worker });
    assert.equal(ran.code, 1);
    assert.match(ran.err, /exited with code 7[^]*no such library/);
  });

  test('what it prints never reaches standard output', async () => {
    const worker = workerThat(
      'prints',
      "process.send({ type: 'log', level: 'info', message: 'hello' });" +
        "process.stdout.write('noise\\n', () => process.exit(0));",
    );
    const ran = await run(['train', runFile, '--json'], { worker });
    assert.match(ran.err, /^noise$/m);
    assert.deepEqual(
      ran.out
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as RunEvent).type),
      ['log', 'failed'],
    );
  });

  test('one that says finished but wrote nothing has failed', async () => {
    const finished = {
      type: 'finished',
      reason: 'completed',
      adapter: path.join(folder, 'not-there'),
      metrics: {},
      steps: 1,
      seconds: 1,
      peakMemory: 1,
    };
    const worker = workerThat('lies', `process.send(${JSON.stringify(finished)}, () => process.exit(0))`);
    const ran = await run(['train', runFile], { worker });
    assert.equal(ran.code, 1);
    assert.match(ran.err, /\[run\.nothing-written\]/);
  });

  test('the second Ctrl-C kills one that does not stop', async () => {
    let time = 0;
    const interrupt = createInterrupt(
      () => assert.fail('the command line itself must not be ended'),
      () => time,
    );
    const worker = workerThat(
      'deaf',
      "process.send({ type: 'log', level: 'info', message: 'ready' }); setInterval(() => undefined, 1000);",
    );
    const { io, out, err } = captureIo({ worker, interrupt });
    const running = main(['train', runFile], io);
    while (!out().includes('ready')) await setImmediate();
    interrupt.signal();
    time = 1000;
    interrupt.signal();
    assert.equal(await running, 1);
    assert.match(err(), /Stopping after this step[^]*Killing the run[^]*\[run\.killed\]/);
  });
});
