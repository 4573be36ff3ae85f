// Runs the tests below the folders named on the command line (default: unit and integration) with Node's own
// runner: `node test/run.mjs [FOLDER|FILE …] [--only PATTERN]`. Node 20 takes no globs, hence this file.
import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';

const wanted = process.argv.slice(2);
const patternAt = wanted.indexOf('--only');
const pattern = patternAt < 0 ? [] : [`--test-name-pattern=${wanted.splice(patternAt, 2)[1]}`];
const roots = wanted.length > 0 ? wanted : ['test/unit', 'test/integration'];
const files = roots.flatMap((root) =>
  statSync(root).isFile()
    ? [root]
    : readdirSync(root, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.test.ts'))
        .map((name) => path.join(root, name)),
);
// Without files Node would look for tests of its own.
if (files.length === 0) {
  console.error(`test/run.mjs: no *.test.ts below ${roots.join(', ')}`);
  process.exit(1);
}
const runner = spawn(
  process.execPath,
  [
    '--import',
    'tsx',
    '--test',
    `--test-concurrency=${availableParallelism()}`,
    `--test-reporter=${process.stdout.isTTY ? 'spec' : 'tap'}`,
    ...pattern,
    ...files.sort(),
  ],
  { stdio: ['inherit', 'pipe', 'inherit'] },
);
let tail = '';
runner.stdout.setEncoding('utf8').on('data', (text) => {
  process.stdout.write(text);
  tail = (tail + text).slice(-2000);
});
runner.on('close', (code) => {
  const count = (what) => Number(new RegExp(`^(?:#|ℹ) ${what} (\\d+)$`, 'm').exec(tail)?.[1] ?? 0);
  // A test that the pattern leaves out counts as skipped; one that skips itself says why.
  const ran = count('pass') + count('fail') + (pattern.length > 0 ? 0 : count('skipped'));
  if (ran === 0) console.error('test/run.mjs: no test ran');
  process.exit(code !== 0 ? (code ?? 1) : ran === 0 ? 1 : 0);
});
