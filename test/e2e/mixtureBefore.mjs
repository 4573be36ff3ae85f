// Three LoRA adapters of the bundled model, each of other rows, and few rows of all of them; shared by the walks.
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { copyExamples, trainBefore } from './workbench.mjs';

/** Questions of three kinds, by what their queries begin with. */
const KINDS = { counts: /SELECT COUNT/, extremes: /SELECT (MIN|MAX)/, names: /SELECT name FROM/ };

/** Fills a workspace: `counts`, `extremes` and `names` have been trained; `five-rows.jsonl` and `held-out.jsonl` have rows of all. */
export function mixtureBefore(workspace) {
  copyExamples(workspace);
  const folder = path.join(workspace, 'examples/quickstart');
  const linesOf = (name) => readFileSync(path.join(folder, name), 'utf8').trim().split('\n');
  const rows = linesOf('train.jsonl');
  for (const [name, kind] of Object.entries(KINDS)) {
    const own = rows.filter((row) => kind.test(row)).slice(0, 64);
    if (own.length < 16) throw new Error(`only ${own.length} rows of ${name}`);
    writeFileSync(path.join(workspace, `${name}.jsonl`), `${own.join('\n')}\n`);
    const file = path.join(workspace, `${name}.peft.yaml`);
    writeFileSync(
      file,
      `model: examples/base-model/peft-studio-tiny
data: { train: ${name}.jsonl, max_length: 128 }
method: { type: lora, r: 4, target_modules: all-linear }
training: { max_steps: 16, per_device_train_batch_size: 16, learning_rate: 5e-3 }
`,
    );
    trainBefore(file);
  }
  const held = linesOf('validation.jsonl');
  writeFileSync(path.join(workspace, 'five-rows.jsonl'), `${held.slice(0, 5).join('\n')}\n`);
  writeFileSync(path.join(workspace, 'held-out.jsonl'), `${held.slice(5, 45).join('\n')}\n`);
}

/** Composes them by the command line, as if somebody had done it before the window opens: `five-rows-mixture`. */
export function composeBefore(workspace) {
  mixtureBefore(workspace);
  const adapters = Object.keys(KINDS).map((name) => {
    const runs = path.join(workspace, 'runs', name);
    return path.join(runs, readdirSync(runs)[0], 'adapter');
  });
  const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
  const rows = [
    '--data',
    'five-rows.jsonl',
    '--evaluate',
    'held-out.jsonl',
    '--out',
    'five-rows-mixture',
    '--json',
  ];
  execFileSync(process.execPath, [cli, 'compose', ...adapters, ...rows], {
    cwd: workspace,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
