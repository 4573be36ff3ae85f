// Runs that are killed without warning and resumed, compared with one that was left alone.
// PEFT_STUDIO_KILLS says how many times (default 4; the figure in docs is of 50).
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { random } from '../../src/common/random.js';
import type { RunEvent } from '../../src/training/events.js';
import { ROOT } from '../support/fixtures.js';
import { dataFile, temporary, tinyModel } from '../unit/cli/support.js';

const KILLS = Number(process.env['PEFT_STUDIO_KILLS'] ?? 4);
const SEED = Number(process.env['PEFT_STUDIO_SEED'] ?? 1);
const STEPS = 8 * (KILLS + 1);
const CLI = ['--import', 'tsx', path.join(ROOT, 'src/cli.ts')];

const folder = temporary();
const runFile = (output: string): string => {
  const file = path.join(folder, `${output}.peft.yaml`);
  writeFileSync(
    file,
    `model: model
data: { train: rows.jsonl, validation: held.jsonl }
method: { type: lora, lora_dropout: 0.2 }
training: { max_steps: ${STEPS}, per_device_train_batch_size: 4, gradient_accumulation_steps: 2, learning_rate: 1e-2, save_steps: 3, eval_steps: 7, load_best_model_at_end: true }
runtime: { threads: 1 }
`,
  );
  return file;
};

before(async () => {
  await tinyModel(folder);
  dataFile(folder, 'rows.jsonl', 37);
  dataFile(folder, 'held.jsonl', 5);
});

/** Trains; `onEvent` may kill. Gives the exit code and what was said on standard error. */
async function train(
  file: string,
  resume: boolean,
  onEvent: (event: RunEvent, kill: () => void) => void = () => undefined,
): Promise<{ code: number | null; notes: string }> {
  const args = [...CLI, 'train', file, '--json', ...(resume ? ['--resume'] : [])];
  // A group of its own: command line and worker die at the same moment.
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let notes = '';
  child.stderr.on('data', (chunk: Buffer) => (notes += chunk.toString()));
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.endsWith('}')) onEvent(JSON.parse(line) as RunEvent, () => process.kill(-child.pid!, 'SIGKILL'));
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, notes };
}

function onlyRun(name: string): string {
  const [only, ...others] = readdirSync(path.join(folder, 'runs', name));
  assert.ok(only !== undefined && others.length === 0, 'a resumed run stays in its folder');
  return path.join(folder, 'runs', name, only);
}

/** The run's curve: the last word on each step and evaluation. */
function curve(run: string): Map<string, unknown> {
  const lines = readFileSync(path.join(run, 'events.jsonl'), 'utf8').trimEnd().split('\n');
  const said = new Map<string, unknown>();
  for (const line of lines) {
    let event;
    try {
      event = JSON.parse(line) as RunEvent;
    } catch {
      continue; // half a line of a killed run
    }
    if (event.type !== 'step' && event.type !== 'evaluation') continue;
    said.set(`${event.type} ${event.step}`, { ...event, seconds: 0 });
  }
  return new Map([...said].sort(([a], [b]) => (a < b ? -1 : 1)));
}

test(`killed ${KILLS} times and resumed: the curve and the adapter are those of the run left alone`, async () => {
  const alone = await train(runFile('alone'), false);
  assert.equal(alone.code, 0, alone.notes);
  const rng = random(SEED, 'kills');
  const file = runFile('killed');
  let kills = 0;
  let code: number | null = null;
  let begun = false;
  while (code !== 0) {
    const after = 1 + rng.integer(14);
    const delay = rng.integer(30);
    let heard = 0;
    const ran = await train(file, begun, (event, kill) => {
      if (event.type === 'checkpoint') begun = true;
      if (!['step', 'checkpoint', 'evaluation'].includes(event.type)) return;
      heard++;
      if (kills < KILLS && heard === after) void setTimeout(delay).then(kill, () => undefined);
    });
    code = ran.code;
    if (code === null) kills++;
    else assert.equal(code, 0, ran.notes);
    // The first kill may come before any checkpoint: then the run begins anew, in a folder of its own.
    for (const run of existsSync(path.join(folder, 'runs/killed'))
      ? readdirSync(path.join(folder, 'runs/killed'))
      : []) {
      const names = readdirSync(path.join(folder, 'runs/killed', run));
      for (const name of names.filter((each) => /^(?:adapter|checkpoint-\d+)$/.test(each))) {
        const inside = readdirSync(path.join(folder, 'runs/killed', run, name));
        assert.ok(inside.includes(name === 'adapter' ? 'adapter_model.safetensors' : 'trainer_state.json'), name);
      }
    }
  }
  assert.equal(kills, KILLS);
  const [whole, parts] = [onlyRun('alone'), lastRun('killed')];
  assert.equal(curve(whole).size > STEPS, true);
  assert.deepEqual(curve(parts), curve(whole));
  const bytes = (run: string): Buffer => readFileSync(path.join(run, 'adapter/adapter_model.safetensors'));
  assert.ok(bytes(parts).equals(bytes(whole)), 'bit for bit');
  assert.deepEqual(
    readdirSync(parts).filter((name) => /tmp|removed/.test(name)),
    [],
    'nothing half written is left',
  );
});

/** The newest run; one that was killed before its first checkpoint left a folder before it. */
function lastRun(name: string): string {
  return path.join(
    folder,
    'runs',
    name,
    readdirSync(path.join(folder, 'runs', name))
      .sort()
      .at(-1)!,
  );
}

test('a run file that changed, and one without a run, are not resumed; a stopped run is', async () => {
  const none = await train(runFile('none'), true);
  assert.equal(none.code, 2);
  assert.match(none.notes, /resume|checkpoint/);
  const stopped = await train(runFile('stopped'), false, (event, kill) => {
    if (event.type === 'checkpoint') kill();
  });
  assert.equal(stopped.code, null);
  const text = readFileSync(path.join(folder, 'stopped.peft.yaml'), 'utf8');
  writeFileSync(path.join(folder, 'stopped.peft.yaml'), text.replace('1e-2', '2e-2'));
  const changed = await train(path.join(folder, 'stopped.peft.yaml'), true);
  assert.equal(changed.code, 2);
  const byFolder = await train(lastRun('stopped'), true);
  assert.equal(byFolder.code, 0, byFolder.notes);
  assert.ok(existsSync(path.join(lastRun('stopped'), 'adapter/adapter_model.safetensors')));
});

test('killed between a turn and the next checkpoint, and after one: what the run left alone gives', async () => {
  const lottery = (name: string): string => {
    const file = path.join(folder, `${name}.peft.yaml`);
    writeFileSync(
      file,
      `model: model
data: { train: rows.jsonl, validation: held.jsonl }
method: { type: lt_sft, ft_params_proportion: 0.05, n_ft_iterations: 2 }
training: { max_steps: 12, per_device_train_batch_size: 4, learning_rate: 1e-2, save_steps: 4, eval_steps: 5, load_best_model_at_end: true }
runtime: { threads: 1 }
`,
    );
    return file;
  };
  assert.equal((await train(lottery('lottery'), false)).code, 0);
  const file = lottery('killed-lottery');
  // The phases end after steps 3, 6 and 9.
  for (const [resume, at] of [
    [false, 5],
    [true, 7],
    [true, 11],
  ] as const) {
    const ran = await train(file, resume, (event, kill) => {
      if (event.type === 'step' && event.step === at) kill();
    });
    assert.equal(ran.code, null);
  }
  const ended = await train(file, true);
  assert.equal(ended.code, 0, ended.notes);
  const [whole, parts] = [onlyRun('lottery'), onlyRun('killed-lottery')];
  assert.deepEqual(curve(parts), curve(whole));
  const bytes = (run: string): Buffer => readFileSync(path.join(run, 'adapter/adapter_model.safetensors'));
  assert.ok(bytes(parts).equals(bytes(whole)), 'bit for bit');
});

test('a start that was taken off the base is not computed anew: killed and resumed, bit for bit', async () => {
  const started = (name: string): string => {
    const file = path.join(folder, `${name}.peft.yaml`);
    writeFileSync(
      file,
      `model: model
data: { train: rows.jsonl, validation: held.jsonl }
method: { type: lora, r: 2, lora_dropout: 0.2, init_lora_weights: pissa_niter_1 }
training: { max_steps: 8, per_device_train_batch_size: 4, learning_rate: 1e-2, save_steps: 3, eval_steps: 4 }
runtime: { threads: 1 }
`,
    );
    return file;
  };
  assert.equal((await train(started('pissa'), false)).code, 0);
  const file = started('killed-pissa');
  const ran = await train(file, false, (event, kill) => {
    if (event.type === 'step' && event.step === 5) kill();
  });
  assert.equal(ran.code, null);
  const ended = await train(file, true);
  assert.equal(ended.code, 0, ended.notes);
  assert.ok(!ended.notes.includes('Taking weights apart'));
  const [whole, parts] = [onlyRun('pissa'), onlyRun('killed-pissa')];
  assert.deepEqual(curve(parts), curve(whole));
  const bytes = (run: string): Buffer => readFileSync(path.join(run, 'adapter/adapter_model.safetensors'));
  assert.ok(bytes(parts).equals(bytes(whole)), 'bit for bit');
});

const tmpfs = path.join(folder, 'small-disk');
const canMount = ((): boolean => {
  mkdirSync(tmpfs, { recursive: true });
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=70m', 'tmpfs', tmpfs]).status === 0;
  if (mounted) spawnSync('umount', [tmpfs]);
  return mounted;
})();

for (const [what, megabytes, problem] of [
  ['too little space for a checkpoint', 30, /checkpoint-write/],
  ['not a byte of space', 80, /checkpoint-write|ENOSPC|no space/],
] as const) {
  const name = what.replace(/ /g, '-');
  test(
    `${what}: the run ends with the reason, the last checkpoint stays, and the run goes on`,
    { skip: !canMount && 'cannot mount a small disk' },
    async () => {
      assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=70m', 'tmpfs', tmpfs]).status, 0);
      try {
        const file = runFile(name);
        writeFileSync(file, `${readFileSync(file, 'utf8')}output: { dir: small-disk }\n`);
        const filler = path.join(tmpfs, 'filler');
        const ran = await train(file, false, (event) => {
          if (event.type === 'checkpoint' && event.step === 6) fill(filler, megabytes);
        });
        assert.equal(ran.code, 1, ran.notes);
        assert.match(ran.notes, problem);
        const parent = path.join(tmpfs, name);
        const run = path.join(parent, readdirSync(parent)[0]!);
        const left = readdirSync(run);
        assert.ok(left.some((each) => /^checkpoint-\d+$/.test(each)));
        assert.ok(!left.includes('adapter'));
        writeFileSync(filler, '');
        const resumed = await train(file, true);
        assert.equal(resumed.code, 0, resumed.notes);
        const bytes = (at: string): Buffer => readFileSync(path.join(at, 'adapter/adapter_model.safetensors'));
        assert.ok(bytes(run).equals(bytes(onlyRun('alone'))));
        assert.deepEqual(
          readdirSync(run).filter((each) => each.includes('.tmp')),
          [],
        );
      } finally {
        spawnSync('umount', [tmpfs]);
      }
    },
  );
}

/** Writes until so much is written, or the disk is full. */
function fill(file: string, megabytes: number): void {
  const part = Buffer.alloc(2 ** 20);
  try {
    for (let at = 0; at < megabytes; at++) appendFileSync(file, part);
  } catch {
    // Full.
  }
}
