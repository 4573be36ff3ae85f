// How long PiSSA, MiLoRA and OLoRA take a model's weights apart before the first step, and the memory that takes: all linears,
// r 8, each start in a process of its own.
//
//   nice node --import tsx bench/pissa.ts MODEL_FOLDER OUT.md [--only TEXT] [--threads 2]
//
// MODEL_FOLDER: an F32 Hugging Face folder (SmolLM2-135M: 210 linears). Linux only: memory is read from /proc/self/status.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Value } from '@sinclair/typebox/value';
import { random } from '../src/common/random.js';
import { lowRankNorm } from '../src/linalg/products.js';
import { LoraOptions, lora } from '../src/methods/lora.js';
import { preparedStarts, startsFromBase } from '../src/methods/loraStart.js';
import { lowRankPair } from '../src/methods/lowRankPair.js';
import { openCheckpoint } from '../src/models/openCheckpoint.js';
import { readModel } from '../src/models/readModel.js';
import { runtimeProducts } from '../src/runtime/matrixProducts.js';
import { onnxRuntime } from '../src/runtime/onnxruntime.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: '' },
    threads: { type: 'string', default: '2' },
    one: { type: 'string' },
  },
});
const [model, out] = positionals;
if (model === undefined || out === undefined) throw new Error('name the model and the file to write');
const STARTS = ['pissa', 'pissa_niter_16', 'pissa_niter_4', 'milora', 'olora'] as const;
const R = 8;
const MIB = 2 ** 20;

interface Found {
  readonly modules: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Largest RssAnon while weights are taken apart, and before. */
  readonly anonymous: number;
  readonly anonymousBefore: number;
  /** ‖s·B₀·A₀‖² / ‖W‖², over all modules. */
  readonly share: number;
  /** Of the machine, before. */
  readonly load: number;
}

/** One start, in this process. */
async function takeApart(init: LoraOptions['init_lora_weights'], threads: number): Promise<Found> {
  if (!startsFromBase(init)) throw new Error(`${String(init)} takes nothing off a weight`);
  const checkpoint = await openCheckpoint(model!);
  const context = {
    model: readModel(checkpoint),
    modelName: '',
    read: (name: string) => checkpoint.read(name),
    random: (...stream: (string | number)[]) => random(1, ...stream),
  };
  const options = Value.Parse(LoraOptions, { type: 'lora', r: R, init_lora_weights: init });
  const { coverage } = lora.attach(options, context);
  const chosen = new Set(coverage.modules.map((module) => module.path));
  const pairs = context.model.sites
    .filter((site) => chosen.has(site.path))
    .map((site) => lowRankPair(site, R, 1, '', true));
  const products = await runtimeProducts(await onnxRuntime({ threads }));
  const load = loadavg()[0]!;
  const before = anonymousNow();
  let anonymous = before;
  const look = (): void => {
    anonymous = Math.max(anonymous, anonymousNow());
  };
  // Between products, while what they are made of is there.
  const weightWork = {
    products: (matrix: Float64Array, rows: number, columns: number) => {
      const own = products.of(matrix, rows, columns);
      return {
        ...own,
        times: async (x: Float64Array) => {
          const result = await own.times(x);
          look();
          return result;
        },
        transposedTimes: async (x: Float64Array) => {
          const result = await own.transposedTimes(x);
          look();
          return result;
        },
      };
    },
    progress: () => Promise.resolve(look()),
  };
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const prepared = await preparedStarts(pairs, init, { ...context, weightWork });
  const [seconds, used] = [(performance.now() - start) / 1000, process.cpuUsage(cpu)];
  look();
  let [taken, whole] = [0, 0];
  for (const { site, initial } of pairs) {
    const [a, b] = [initial!.a.name, initial!.b.name].map((name) => prepared.get(name));
    if (!(a instanceof Float32Array && b instanceof Float32Array)) throw new Error(`nothing of ${site.path}`);
    taken += lowRankNorm(b, a, R) ** 2;
    whole += (await checkpoint.read(site.weight!)).reduce((sum, value) => sum + value * value, 0);
  }
  await products.dispose();
  return {
    modules: pairs.length,
    seconds,
    cpuSeconds: (used.user + used.system) / 1e6,
    anonymous,
    anonymousBefore: before,
    share: taken / whole,
    load,
  };
}

function anonymousNow(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return 1024 * Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1] ?? 0);
}

if (values.one !== undefined) {
  const init = STARTS.find((each) => each === values.one);
  if (init === undefined) throw new Error(`no start ${values.one}`);
  process.stdout.write(JSON.stringify(await takeApart(init, Number(values.threads))));
  process.exit(0);
}

const raw = out.replace(/\.md$/, '.json');
const known = existsSync(raw) ? (JSON.parse(readFileSync(raw, 'utf8')) as Record<string, Found>) : {};
for (const init of STARTS.filter((each) => each.includes(values.only))) {
  const script = [import.meta.filename, model, out, '--one', init, '--threads', values.threads];
  const child = spawnSync(process.execPath, ['--import', 'tsx', ...script], { encoding: 'utf8' });
  if (child.status !== 0) throw new Error(child.stderr);
  known[init] = JSON.parse(child.stdout) as Found;
  writeFileSync(raw, `${JSON.stringify(known, undefined, 2)}\n`);
  process.stdout.write(`${lineOf(init, known[init])}\n`);
}
writeFileSync(out, report());

function report(): string {
  return [
    '# Starts that are taken off the base',
    '',
    `All linears of ${path.basename(model!)}, r ${R}, each in a process of its own, ${values.threads} threads. Share: ‖s·B₀·A₀‖² of ‖W‖², over all modules; \`pissa\` has the most there can be, \`milora\` the least, and \`olora\` is no best part. Memory is anonymous: at its largest, and what it grew by. Load: of the machine, before. Written by \`bench/pissa.ts\`.`,
    '',
    '| start | modules | seconds | CPU seconds | share, % | anonymous, MiB | of it since before, MiB | load before |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...STARTS.flatMap((init) => (known[init] === undefined ? [] : [lineOf(init, known[init])])),
    '',
  ].join('\n');
}

function lineOf(init: string, found: Found): string {
  const cells = [
    `\`${init}\``,
    String(found.modules),
    found.seconds.toFixed(1),
    found.cpuSeconds.toFixed(1),
    (100 * found.share).toFixed(init === 'milora' ? 4 : 2),
    (found.anonymous / MIB).toFixed(0),
    ((found.anonymous - found.anonymousBefore) / MIB).toFixed(0),
    found.load.toFixed(1),
  ];
  return `| ${cells.join(' | ')} |`;
}
