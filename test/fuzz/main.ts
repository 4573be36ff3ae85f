/** `npm run fuzz`: see README.md beside this file. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../../src/common/problem.js';
import { runRange } from './child.js';
import { emptyTally, inputAt, makeSandbox, runOne } from './fuzz.js';
import type { Tally } from './fuzz.js';
import type { FuzzInput, FuzzTarget } from './target.js';
import { findTarget, TARGETS } from './targets.js';

/** A process runs so many inputs; then its memory starts afresh. */
const CHUNK = 10_000;
const MAX_FINDINGS = 20;

const { values: options } = parseArgs({
  options: {
    format: { type: 'string' },
    inputs: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    time: { type: 'string' },
    replay: { type: 'string' },
  },
});
const [inputs, seed] = [wholeNumber('inputs', options.inputs), wholeNumber('seed', options.seed)];
const seconds = options.time === undefined ? Infinity : wholeNumber('time', options.time);
const targets = options.format === undefined ? TARGETS : options.format.split(',').map(targetOf);

/** Where offending inputs are kept. */
const KEPT = path.join(tmpdir(), 'peft-studio-fuzz');

/** Files live in memory where the system has such a folder: a format on disk is then as fast as one that is not. */
const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const root = realpathSync(mkdtempSync(path.join(base, 'peft-studio-fuzz-')));
process.env['TMPDIR'] = root;
process.env['PEFT_STUDIO_CACHE'] = path.join(root, 'cache');
let found = 0;
try {
  if (options.replay !== undefined) found = await replay(targets[0]!, options.replay);
  else for (const target of targets) found += await fuzzTarget(target);
} finally {
  rmSync(root, { recursive: true, force: true });
}
process.exit(found === 0 ? 0 : 1);

async function fuzzTarget(target: FuzzTarget): Promise<number> {
  const total = emptyTally();
  const deadline = Date.now() + seconds * 1000;
  for (
    let from = 0;
    from < inputs && Date.now() < deadline && total.findings.length < MAX_FINDINGS;
    from += CHUNK
  ) {
    const range = { seed, from, to: Math.min(inputs, from + CHUNK), deadline };
    add(total, await runRange(target.name, range, root));
  }
  report(target, total);
  await save(target, total);
  return total.findings.length;
}

function add(total: Tally, part: Tally): void {
  total.inputs += part.inputs;
  total.accepted += part.accepted;
  for (const [code, count] of Object.entries(part.refused))
    total.refused[code] = (total.refused[code] ?? 0) + count;
  total.findings.push(...part.findings);
  if (part.slowest.milliseconds > total.slowest.milliseconds) total.slowest = part.slowest;
  total.cpuSeconds += part.cpuSeconds;
  total.peakBytes = Math.max(total.peakBytes, part.peakBytes);
}

function report(target: FuzzTarget, tally: Tally): void {
  const refused = Object.entries(tally.refused).sort(([, a], [, b]) => b - a);
  const refusedCount = refused.reduce((sum, [, count]) => sum + count, 0);
  console.log(
    `${target.name}: ${tally.inputs} inputs, ${tally.accepted} accepted, ${refusedCount} refused, ` +
      `${tally.findings.length} findings; ${tally.cpuSeconds.toFixed(1)} s of processor time, slowest input ` +
      `${tally.slowest.milliseconds.toFixed(0)} ms (number ${tally.slowest.index}), ` +
      `peak memory ${Math.round(tally.peakBytes / 2 ** 20)} MB`,
  );
  for (const [code, count] of refused) console.log(`  ${String(count).padStart(7)}  ${code}`);
}

/** Keeps the first input of each kind of finding beyond the run, and says how to run it again. */
async function save(target: FuzzTarget, { findings }: Tally): Promise<void> {
  if (findings.length === 0) return;
  const seeds = await target.seeds();
  const kinds = new Map<string, number[]>();
  for (const { index, what } of findings) kinds.set(kindOf(what), [...(kinds.get(kindOf(what)) ?? []), index]);
  for (const indices of kinds.values()) {
    const [index = 0] = indices;
    const folder = path.join(KEPT, `${target.name}-${seed}-${index}`);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const [name, bytes] of inputAt(target, seeds, seed, index)) writeFileSync(path.join(folder, name), bytes);
    console.log(
      `FINDING ${target.name}, seed ${seed}, input ${indices.slice(0, 5).join(', ')} (${indices.length} in all)`,
    );
    console.log(findings.find((each) => each.index === index)!.what.slice(0, 3000));
    console.log(`  run it again: npm run fuzz -- --format ${target.name} --replay ${folder}`);
  }
}

/** Findings of one kind are told once: what was thrown, and the first line of ours that it came through. */
function kindOf(what: string): string {
  return `${/^[^:\n]*/.exec(what)![0].replace(/\d+/g, '')} ${/\/src\/[^\s)]*/.exec(what)?.[0] ?? ''}`;
}

async function replay(target: FuzzTarget, folder: string): Promise<number> {
  const input: FuzzInput = new Map(
    readdirSync(folder).map((name) => [name, Uint8Array.from(readFileSync(path.join(folder, name)))]),
  );
  const { refused, finding, milliseconds } = await runOne(target, input, makeSandbox(root));
  console.log(
    finding ?? (refused === undefined ? 'accepted' : `refused: ${refused}`),
    `(${milliseconds.toFixed(0)} ms)`,
  );
  return finding === undefined ? 0 : 1;
}

function targetOf(name: string): FuzzTarget {
  try {
    return findTarget(name);
  } catch (error) {
    console.error(`--format: ${messageOf(error)}`);
    return process.exit(2);
  }
}

function wholeNumber(name: string, text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  console.error(`--${name} ${text}: not a whole number`);
  return process.exit(2);
}
