// Peak memory against the share of the numbers that trains, on one model: PaFi at several shares, and full fine-tuning.
// Predicted and measured; each a run of two steps in a process of its own.
//
//   npm run build
//   node --import tsx bench/selectiveMemory.ts MODEL_FOLDER OUT.md [--cli dist/cli.js] [--only TEXT]
//
// MODEL_FOLDER: a decoder as an F32 Hugging Face folder (SmolLM2-135M). Figures measured before are kept beside OUT.md.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { loadRunFile } from '../src/config/loadRunFile.js';
import { contractOf } from '../src/engines/estimateDocument.js';
import { estimateFile } from '../src/language/estimateFile.js';
import { measure, writeRows } from './measured.js';
import type { Measured } from './measured.js';

const { values: options, positionals } = parseArgs({
  options: { cli: { type: 'string', default: 'dist/cli.js' }, only: { type: 'string', default: '' } },
  allowPositionals: true,
});
const [model, out] = positionals;
if (model === undefined || out === undefined) throw new Error('name the model and the file to write');
const MIB = 2 ** 20;
const [ROWS, LENGTH] = [1, 64];
const SHARES = [0.001, 0.005, 0.01, 0.1, 0.5, 1];
/** All weights: a tied head is the embedding's matrix. */
const EVERYTHING = '{ type: pafi, keep_ratio: SHARE, target_modules: ".*" }';
/** The smallest share that has numbers in every matrix. */
const LEAST = 'PaFi, 0.5 %';
const METHODS = [
  ...SHARES.map((share) => ({
    name: `PaFi, ${share * 100} %`,
    method: EVERYTHING.replace('SHARE', String(share)),
  })),
  { name: 'full', method: '{ type: full }' },
];

interface Row {
  readonly trained: number;
  readonly predicted: { readonly total: number; readonly anonymous: number };
  readonly measured: Measured;
}

const raw = out.replace(/\.md$/, '.json');
const known = existsSync(raw) ? (JSON.parse(readFileSync(raw, 'utf8')) as Record<string, Row>) : {};
const folder = mkdtempSync(path.join(tmpdir(), 'peft-selective-memory-'));
try {
  const rows = writeRows(folder, 'rows', 4);
  for (const { name, method } of METHODS.filter((each) => each.name.includes(options.only))) {
    const file = path.join(folder, 'run.peft.yaml');
    const text = [
      `model: ${path.resolve(model)}`,
      `data: { train: ${rows}, max_length: ${LENGTH} }`,
      `method: ${method}`,
      `training: { max_steps: 2, per_device_train_batch_size: ${ROWS} }`,
      `output: { dir: ${path.join(folder, 'runs')} }`,
    ];
    writeFileSync(file, text.join('\n'));
    const { run, problems } = await loadRunFile(file);
    if (run === undefined) throw new Error(JSON.stringify(problems));
    const { total, anonymous, trainable } = contractOf(await estimateFile(run));
    known[name] = {
      trained: trainable,
      predicted: { total, anonymous },
      measured: await measure(file, options.cli),
    };
    rmSync(path.join(folder, 'runs'), { recursive: true, force: true });
    writeFileSync(raw, `${JSON.stringify(known, undefined, 2)}\n`);
    process.stdout.write(`${lineOf(name, known[name])}\n`);
  }
  writeFileSync(out, report());
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function report(): string {
  const lines = METHODS.flatMap(({ name }) => {
    const row = known[name];
    return row === undefined ? [] : [lineOf(name, row)];
  });
  return [
    '# Peak memory against the share that trains',
    '',
    `SmolLM2-135M (${path.basename(model!)}), ${ROWS} row of ${LENGTH} tokens, AdamW, two steps; MiB. Anonymous memory is what is not pages of files, from the compilation to the last step. B/number: anonymous memory beyond that of ${LEAST}, by the numbers that train beyond its: smaller shares of this model have all of them in the embedding, and so a smaller graph. Written by \`bench/selectiveMemory.ts\`.`,
    '',
    '| what trains | numbers | peak predicted | measured | anonymous predicted | measured | B/number predicted | measured |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...lines,
    '',
  ].join('\n');
}

function lineOf(name: string, { trained, predicted, measured }: Row): string {
  const mib = (bytes: number): string => (bytes / MIB).toFixed(0);
  const least = known[LEAST];
  const slope = (of: (row: Row) => number, now: number): string =>
    least === undefined || trained <= least.trained
      ? ''
      : ((now - of(least)) / (trained - least.trained)).toFixed(1);
  const cells = [
    name,
    trained.toLocaleString('en'),
    mib(predicted.total),
    mib(measured.peak),
    mib(predicted.anonymous),
    mib(measured.anonymous),
    slope((row) => row.predicted.anonymous, predicted.anonymous),
    slope((row) => row.measured.anonymous, measured.anonymous),
  ];
  return `| ${cells.join(' | ')} |`;
}
