// Runs the tests below the folders named on the command line (default: unit and integration) with Node's own
// runner: `node test/run.mjs [FOLDER|FILE …] [--only PATTERN]`. Node 20 takes no globs, hence this file.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { availableParallelism } from 'node:os';

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
const { status } = spawnSync(
  process.execPath,
  ['--import', 'tsx', '--test', `--test-concurrency=${availableParallelism()}`, ...pattern, ...files.sort()],
  { stdio: 'inherit' },
);
process.exit(status ?? 1);
