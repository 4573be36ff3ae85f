import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { problemOf } from '../../../src/common/problem.js';
import type { Problem } from '../../../src/common/problem.js';
import { lora } from '../../../src/methods/lora.js';
import { MeloraOptions, melora } from '../../../src/methods/melora.js';
import { blockDiagonal, mergeMini, miniPairs, miniValues } from '../../../src/methods/miniPairs.js';
import type { Attached } from '../../../src/methods/method.js';
import { temporaryFolder } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, eventsOf, run } from '../training/jobs.js';
import { fakeContext, loraOptions, randomValues, site, smallSites } from './fakeModel.js';

const folder = temporaryFolder();
const llama = await openModel(fixture('lora-reference', 'tiny-llama'));
const ADAPTER = fixture('module-updates', 'melora-llama');

function optionsOf(options: Partial<MeloraOptions> = {}): MeloraOptions {
  return Value.Parse(MeloraOptions, { type: 'melora', ...options });
}

function attach(options: Partial<MeloraOptions>, context = llama.context): Attached {
  return melora.attach(optionsOf(options), context);
}

/** Why it is refused. */
function refused(work: () => void): Problem {
  try {
    work();
  } catch (error) {
    return problemOf(error);
  }
  throw new Error('nothing was refused');
}

function trainable({ coverage }: Attached): number {
  return coverage.modules.reduce((sum, each) => sum + each.trainable, 0);
}

test('it starts as the base, exactly; each A within the bound of its slice', async () => {
  const method = attach({ l_num: 4, r: 2, lora_dropout: 0.1 });
  const values = await startValues(method.trainables);
  const rows = await readInputIds(`${ADAPTER}/logits.safetensors`);
  assert.deepEqual(await logitsOf(llama, rows, { method, values }), await logitsOf(llama, rows));
  const a = values.get('model.layers.0.self_attn.q_proj.lora_A')!;
  // Eight of the 32 inputs: 1/√8, and of 64 draws some near it.
  const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  assert.ok(largest <= 1 / Math.sqrt(8) && largest > 0.3, String(largest));
  assert.ok(values.get('model.layers.0.self_attn.q_proj.lora_B')!.every((value) => value === 0));
});

test('it has the numbers of a LoRA of its r, and l_num times its rank', () => {
  for (const [n, r] of [
    [1, 8],
    [2, 8],
    [8, 1],
  ] as const) {
    const method = attach({ l_num: n, r });
    assert.equal(trainable(method), trainable(lora.attach(loraOptions({ r }), llama.context)));
    const values = randomValues(method);
    assert.ok(method.report!(values).every(({ rank, scale }) => rank === n * r && scale === 16 / r));
  }
});

test('one mini LoRA is a LoRA', async () => {
  const { method, values } = await attachAdapter(llama, fixture('lora-reference/lora-steps/plain/initial'));
  const [{ rank, scale, path }] = method.report!(values) as [{ rank: number; scale: number; path: string }];
  const paths = method.report!(values).map((each) => each.path);
  const one = attach({ l_num: 1, r: rank, lora_alpha: rank * scale, target_modules: paths });
  const trained = randomValues(method);
  const rows = [[5, 6, 70, 12, 9, 44, 3]];
  assert.ok(path.endsWith('_proj') && one.trainables.every(({ variable }) => trained.has(variable.name)));
  const found = await logitsOf(llama, rows, { method: one, values: trained });
  assert.ok(largestDifference(found, await logitsOf(llama, rows, { method, values: trained })) <= 1e-3);
});

test('a merged Conv1D is the transpose of a merged linear; the block-diagonal pair has the same ΔW', () => {
  const own = site('linear', 'a.q', [4, 6]);
  const minis = miniPairs(own, 2, 2, 0.5, '');
  const values = new Map([
    ['a.q.lora_A', Float32Array.from({ length: 12 }, (_, at) => at - 5)],
    ['a.q.lora_B', Float32Array.from({ length: 8 }, (_, at) => 2 * at - 7)],
  ]);
  const base = Float32Array.from({ length: 24 }, (_, at) => at / 8);
  const merged = mergeMini(minis, base, values);
  const swap = (matrix: Float32Array, rows: number, columns: number): Float32Array =>
    Float32Array.from(
      { length: rows * columns },
      (_, at) => matrix[(at % rows) * columns + Math.floor(at / rows)]!,
    );
  const turned = mergeMini({ ...minis, site: { ...own, layout: 'in-out' } }, swap(base, 4, 6), values);
  assert.deepEqual(turned, swap(merged, 4, 6));
  // By hand: [B₁A₁, 0; 0, B₂A₂], each of a [2, 2]·[2, 3].
  const whole = blockDiagonal(miniValues(minis, values));
  assert.equal(whole.r, 4);
  for (let i = 0; i < 4; i++) {
    for (let j = 0; j < 6; j++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += whole.b[i * 4 + k]! * whole.a[k * 6 + j]!;
      assert.equal(merged[i * 6 + j], base[i * 6 + j]! + 0.5 * sum);
      if (Math.floor(i / 2) !== Math.floor(j / 3)) assert.equal(sum, 0);
    }
  }
});

test('a number of slices that does not fit is refused with the modules and the numbers that do', () => {
  const own = refused(() => attach({ l_num: 3 }));
  assert.equal(own.code, 'melora.slices');
  assert.match(own.message, /l_num 3 does not divide .*q_proj \[32, 32\].*down_proj \[32, 48\]/);
  assert.match(own.expected!, /: 1, 2, 4, 8, 16$/);
  assert.equal(own.replacement, '2');
  // 48 by itself can be cut in three.
  const sites = [site('linear', 'model.layers.0.a', [48, 96]), site('linear', 'model.layers.0.b', [30, 48])];
  assert.doesNotThrow(() => attach({ l_num: 3, r: 2 }, fakeContext(sites)));
  const large = refused(() => attach({ l_num: 4096 }, fakeContext(smallSites())));
  assert.match(large.expected!, /: 1, 2$/);
});

test('a rank above that of the blocks is told', () => {
  const { coverage } = attach({ l_num: 8, r: 8 });
  const [warning] = coverage.warnings;
  assert.equal(warning?.code, 'melora.rank');
  assert.match(warning.message, /r 8 is more .*k_proj \[16, 32\].*the smallest is 2 wide/);
  assert.deepEqual(attach({ l_num: 8, r: 2 }).coverage.warnings, []);
});

test('a run lowers the loss', async () => {
  const { events, reason } = await run(llama, {
    method: optionsOf({ l_num: 4, r: 2 }),
    validation: UNEVEN,
    options: { per_device_train_batch_size: 4, learning_rate: 0.02, max_steps: 20, eval_steps: 20 },
  });
  assert.equal(reason, 'completed');
  const told = eventsOf(events, 'ranks').at(-1)!.sites;
  assert.ok(told.length === 14 && told.every(({ rank, norm }) => rank === 8 && norm! > 0));
  const losses = eventsOf(events, 'evaluation').map(({ loss }) => loss);
  assert.ok(losses.at(-1)! < 0.95 * losses[0]!, losses.join());
});

/** The fixture's adapter with another config. */
async function changed(name: string, change: object): Promise<string> {
  const copy = `${folder}/${name}`;
  await cp(ADAPTER, copy, { recursive: true });
  const config = JSON.parse(await readFile(`${copy}/adapter_config.json`, 'utf8')) as object;
  await writeFile(`${copy}/adapter_config.json`, JSON.stringify({ ...config, ...change }));
  return copy;
}

test('adapters whose config does not fit are refused: mini LoRAs that differ, another number of them, another rank', async () => {
  const uneven = await changed('uneven', { r: [1, 2, 2, 2] });
  await assert.rejects(attachAdapter(llama, uneven), /mini LoRAs have ranks \[1,2,2,2\]/);
  const number = await changed('number', { r: 2, lora_alpha: 6 });
  await assert.rejects(attachAdapter(llama, number), /ranks 2 and alphas 6/);
  const fewer = await changed('fewer', { r: [2, 2], lora_alpha: [6, 6] });
  await assert.rejects(attachAdapter(llama, fewer), /56 not used .*lora_A\.2\.weight/s);
  const [first] = (await inspectAdapter(fewer)).problems;
  assert.match(first!.message, /mini LoRAs are incomplete or not of one size/);
  const rank = await changed('rank', { r: [3, 3, 3, 3] });
  await assert.rejects(attachAdapter(llama, rank), /lora_A\.0\.weight is \[2, 8\], the base model needs \[3, 8\]/);
});
