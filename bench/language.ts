// What the editor's questions about a run file cost: completion, hover, the check of the text and that of model and data,
// on a file of 300 lines, with one character changed before each question. Nothing of VS Code takes part.
//
//   node --import tsx bench/language.ts [REPETITIONS] [MODEL …]
//
// MODEL: folders of models; without any, the example's base model, and /tmp/smollm2-hf if it is there. CPU time is of this
// process over all repetitions, disk cache warm. Then the size of dist/language.cjs, minified, and what is in it.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { createLanguage } from '../src/language/language.js';

const LINES = 300;
const PROJECTIONS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
const NEVER = new AbortController().signal;
const root = fileURLToPath(new URL('..', import.meta.url));

const [given = '200', ...models] = process.argv.slice(2);
const repetitions = Number(given);
const folder = mkdtempSync(path.join(tmpdir(), 'peft-bench-language-'));
try {
  const usual = [path.join(root, 'examples/base-model/peft-studio-tiny'), '/tmp/smollm2-hf'];
  for (const model of models.length > 0 ? models : usual.filter((each) => existsSync(each))) await measure(model);
  await sizes();
} finally {
  rmSync(folder, { recursive: true });
}

/** A run file of so many lines: two LoRAs with a rank for every module of every layer, as far as there is room. */
function runFile(model: string): string {
  const lines = [
    `model: ${model}`,
    'data:',
    '  train: rows.jsonl',
    '  max_length: 128',
    'training:',
    '  seed: 1',
    'method:',
  ];
  for (const type of ['lora', 'adalora']) {
    lines.push(
      `  - type: ${type}`,
      type === 'lora' ? '    target_modules: all-linear' : '    target_modules: [q_proj, v_proj]',
      '    bias: none',
    );
    if (type === 'adalora') continue;
    lines.push('    rank_pattern:');
    for (let at = 0; lines.length < LINES - 4; at++) {
      const layer = Math.floor(at / PROJECTIONS.length);
      const block = at % PROJECTIONS.length < 4 ? 'self_attn' : 'mlp';
      lines.push(`      model.layers.${layer}.${block}.${PROJECTIONS[at % PROJECTIONS.length]}: ${(at % 8) + 1}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

async function measure(model: string): Promise<void> {
  const rows = Array.from({ length: 50 }, (_, at) =>
    JSON.stringify({ prompt: `Question ${at}`, completion: 'yes' }),
  );
  writeFileSync(path.join(folder, 'rows.jsonl'), rows.join('\n'));
  const file = path.join(folder, 'run.peft.yaml');
  const text = runFile(model);
  const language = createLanguage();
  const places = { folders: [], modelFolders: [] };
  /** Another seed each time, so that nothing is remembered of the text. */
  const version = (at: number): string => text.replace('seed: 1', `seed: ${at + 2}`);
  const ask = {
    'completion of a key': (open: string) => complete(open.replace('    bias: none\n', '    b\n'), '    b\n', 5),
    'completion of a module': (open: string) => complete(open, '[q_proj, v', 10),
    'hover of an option': (open: string) =>
      language.hover({ file, text: open }, open.indexOf('max_length') + 2, NEVER),
    'hover of a pattern': (open: string) =>
      language.hover({ file, text: open }, open.indexOf('v_proj') + 2, NEVER),
    checkText: (open: string) => Promise.resolve(language.checkText({ file, text: open })),
    checkPlaces: (open: string) => language.checkPlaces({ file, text: open }, NEVER),
  };
  function complete(open: string, after: string, offset: number): Promise<unknown> {
    return language.complete({ file, text: open }, open.indexOf(after) + offset, places, NEVER);
  }

  console.log(`\n${path.basename(model)}, ${text.split('\n').length - 1} lines, ${repetitions} repetitions`);
  const table: Record<string, Record<string, string>> = {};
  for (const [name, question] of Object.entries(ask)) {
    const first = await timed(() => question(version(-1)));
    const cpu = process.cpuUsage();
    const times: number[] = [];
    for (let at = 0; at < repetitions; at++) times.push(await timed(() => question(version(at))));
    const { user, system } = process.cpuUsage(cpu);
    times.sort((a, b) => a - b);
    const at = (share: number): string => `${times[Math.ceil(share * times.length) - 1]!.toFixed(1)} ms`;
    table[name] = {
      first: `${first.toFixed(0)} ms`,
      p50: at(0.5),
      p95: at(0.95),
      'CPU each': `${((user + system) / 1000 / repetitions).toFixed(1)} ms`,
    };
  }
  console.table(table);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

async function sizes(): Promise<void> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['src/language/language.ts'],
    outfile: path.join(folder, 'language.cjs'),
    bundle: true,
    minify: true,
    keepNames: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    mainFields: ['module', 'main'],
    alias: { 'prettier/plugins/estree': './tools/nothing.mjs', 'ajv-i18n': './tools/nothing.mjs' },
    external: ['onnxruntime-node'],
    logLevel: 'error',
    metafile: true,
  });
  const [output] = Object.values(metafile.outputs);
  const parts = new Map<string, number>();
  for (const [input, { bytesInOutput }] of Object.entries(output!.inputs)) {
    const name = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1] ?? input.split('/').slice(0, 2).join('/');
    parts.set(name, (parts.get(name) ?? 0) + bytesInOutput);
  }
  console.log(`\nlanguage.cjs, minified: ${(output!.bytes / 1024).toFixed(0)} KiB`);
  const largest = [...parts].sort(([, a], [, b]) => b - a).slice(0, 15);
  console.table(Object.fromEntries(largest.map(([name, bytes]) => [name, `${(bytes / 1024).toFixed(1)} KiB`])));
}
