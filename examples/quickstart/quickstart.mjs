// The main job from end to end, with the commands that a user types: look at the base model, train a LoRA adapter,
// look again, merge. `npm run quickstart` builds first.
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../..');
process.chdir(root);

const runFile = 'examples/quickstart/quickstart.peft.yaml';
const base = 'examples/base-model/peft-studio-tiny';
const runs = 'examples/quickstart/runs/quickstart';
const merged = 'examples/quickstart/runs/merged';
// The first two held-out rows: nothing of them is trained on.
const questions = readFileSync('examples/quickstart/validation.jsonl', 'utf8')
  .split('\n')
  .slice(0, 2)
  .map(JSON.parse);

const since = performance.now();
say('What the base model makes of two held-out questions, before training:');
ask();

say('Training (evaluation on held-out rows comes before the first step and after each epoch):');
studio('train', runFile);
const run = path.join(runs, readdirSync(runs).sort().at(-1));
const adapter = path.join(run, 'adapter');
checkLearning(path.join(run, 'events.jsonl'));

say('The same two questions with the adapter:');
ask('--adapter', adapter);

say('Merging the adapter into the base model, checked on logits:');
rmSync(merged, { recursive: true, force: true });
studio('merge', adapter, '--out', merged);

say(`Done in ${((performance.now() - since) / 1000).toFixed(0)} s (made to stay under 90 s on two cores).`);
console.log(`  adapter (Hugging Face PEFT): ${adapter}\n  merged model:                ${merged}`);

function ask(...options) {
  for (const { prompt, completion } of questions) {
    studio('generate', base, ...options, '--prompt', prompt, '--max-new-tokens', '32');
    console.log(`(right: ${completion.trim()})`);
  }
}

/** A quickstart whose model did not learn has failed, whatever the exit codes say. */
function checkLearning(file) {
  const losses = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter((event) => event.type === 'evaluation')
    .map((event) => event.loss);
  if (losses.length >= 2 && losses.at(-1) < losses[0] / 2) return;
  console.error(`The loss on held-out rows should have halved at least; it went ${losses.join(' → ')}.`);
  process.exit(1);
}

/** Runs one command of the CLI as a user would, showing it. */
function studio(...args) {
  const shown = args.map((arg) => (/^[\w./=-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(' ');
  console.log(`\n$ peft-studio ${shown}`);
  const { status } = spawnSync(process.execPath, ['dist/cli.js', ...args], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function say(text) {
  console.log(`\n── ${text}`);
}
