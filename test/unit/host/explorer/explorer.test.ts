import assert from 'node:assert/strict';
import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { HUB_RECORD } from '../../../../src/adapters/adapterFiles.js';
import { MERGE_RECORD, writeMergeRecord } from '../../../../src/adapters/merging/mergeRecord.js';
import { EXACT_METHODS, conversionsOf, isFoundAgain } from '../../../../src/host/explorer/conversions.js';
import { createLibrary } from '../../../../src/host/explorer/library.js';
import type { Entry, Suspect } from '../../../../src/host/explorer/library.js';
import { createExplorerModel, isWithin } from '../../../../src/host/explorer/model.js';
import type { ExplorerModel, Redraw } from '../../../../src/host/explorer/model.js';
import {
  ADDABLE_METHODS,
  COMPARABLE_METHODS,
  READABLE_METHODS,
  addsUpWith,
  mergesWith,
  comparesWith,
  isMixable,
  lookOf,
  lookOfBase,
} from '../../../../src/host/explorer/present.js';
import { METHODS, PEFT_TYPES, adapterFormat } from '../../../../src/methods/registry.js';
import { writeSafetensors } from '../../../../src/models/writeSafetensors.js';
import { adapterParts, temporaryFolder, writeParts } from '../../../support/adapters.js';
import { fixture } from '../../../support/fixtures.js';

const root = temporaryFolder();
const models = fixture('lora-reference');
let count = 0;

interface Place {
  readonly folder: string;
  readonly model: ExplorerModel;
  readonly alive: Set<string>;
  look(...suspects: readonly Suspect[]): Promise<Redraw>;
}

async function place(): Promise<Place> {
  const folder = path.join(root, String(++count));
  await mkdir(folder);
  const model = createExplorerModel();
  const alive = new Set<string>();
  const library = createLibrary({ roots: () => [models], isAlive: (run) => Promise.resolve(alive.has(run)) });
  return { folder, model, alive, look: async (...suspects) => model.apply(await library.look(suspects)) };
}

async function adapter(folder: string, base = 'tiny-llama'): Promise<Suspect> {
  const parts = await adapterParts('peft-adapter');
  await writeParts(folder, { ...parts, config: { ...parts.config, base_model_name_or_path: base } });
  return { kind: 'adapter', folder };
}

async function run(folder: string, ...events: readonly object[]): Promise<Suspect> {
  await mkdir(folder, { recursive: true });
  const started = {
    type: 'started',
    config: '/w/sql.peft.yaml',
    model: 'tiny-llama',
    method: 'lora',
    totalSteps: 9,
  };
  await writeFile(
    path.join(folder, 'events.jsonl'),
    [started, ...events].map((event) => `${JSON.stringify(event)}\n`).join(''),
  );
  return { kind: 'run', folder };
}

/** The tree as text, an indent per level. */
function drawn(model: ExplorerModel): string[] {
  return model.roots().flatMap((base) => [
    lookOfBase(model.base(base)!, model.children(base).length).label,
    ...model
      .children(base)
      .flatMap((row) => [
        `  ${path.basename(row.folder)}`,
        ...model.children(row).map((inner) => `    ${path.basename(inner.folder)}`),
      ])
      .sort((a, b) => (a.startsWith('    ') || b.startsWith('    ') ? 0 : a < b ? -1 : 1)),
  ]);
}

const entryAt = (model: ExplorerModel, folder: string): Entry => model.entries().get(folder)!;

describe('the tree', () => {
  test('has base models, below them adapters and runs, below these their adapters', async () => {
    const { folder, model, look } = await place();
    const sql = path.join(folder, 'runs/sql/1');
    await look(
      await adapter(path.join(folder, 'mine')),
      await adapter(path.join(folder, 'theirs'), 'org/name'),
      await adapter(path.join(sql, 'adapter')),
      await run(sql),
    );
    assert.deepEqual(drawn(model), ['org/name', '  theirs', 'tiny-llama', '  1', '    adapter', '  mine']);
    const [, tiny] = model.roots();
    const [inner] = model.children(model.children(tiny!).find((row) => row.folder === sql)!);
    assert.equal(model.parent(model.parent(inner!)!), tiny);
  });

  test('a run that ends brings its adapter, which moved into place as a whole', async () => {
    const { folder, model, look, alive } = await place();
    const sql = path.join(folder, 'runs/sql/1');
    alive.add(sql);
    await look(await run(sql, { type: 'step', step: 3, loss: 1 }));
    assert.deepEqual(entryAt(model, sql).item.kind === 'run' && entryAt(model, sql).item, {
      ...entryAt(model, sql).item,
      state: { kind: 'running', step: 3, totalSteps: 9 },
    });
    await adapter(path.join(folder, 'temporary'));
    await rename(path.join(folder, 'temporary'), path.join(sql, 'adapter'));
    const end = { type: 'finished', reason: 'completed', adapter: path.join(sql, 'adapter'), metrics: {} };
    await look(await run(sql, end));
    assert.deepEqual(drawn(model), ['tiny-llama', '  1', '    adapter']);
  });

  test('what changes redraws its row alone; the same row stays the same object', async () => {
    const { folder, model, look, alive } = await place();
    const sql = path.join(folder, 'runs/sql/1');
    alive.add(sql);
    const seen = await run(sql, { type: 'step', step: 1, loss: 1 });
    const mine = await adapter(path.join(folder, 'mine'));
    assert.equal(await look(seen, mine), 'all');
    const [base] = model.roots();
    const before = model.children(base!).find((row) => row.folder === sql)!;
    // The newest stands first already, so that nothing moves.
    await look(await run(sql, { type: 'step', step: 2, loss: 1 }));
    const again = await look(await run(sql, { type: 'step', step: 3, loss: 1 }));
    assert.deepEqual(again, [before]);
    assert.equal((again as readonly unknown[])[0], before);
    assert.deepEqual(await look(mine), [], 'what is unchanged is not read again');
  });

  test('what is deleted goes, with everything below it, and its base when it was the last', async () => {
    const { folder, model, look } = await place();
    const sql = path.join(folder, 'runs/sql/1');
    const suspects = [
      await run(sql),
      await adapter(path.join(sql, 'adapter')),
      await adapter(path.join(folder, 'mine')),
    ];
    await look(...suspects);
    const redraw = model.drop(path.join(folder, 'runs'));
    assert.deepEqual(redraw, [model.roots()[0]]);
    assert.deepEqual(drawn(model), ['tiny-llama', '  mine']);
    await rm(path.join(folder, 'mine'), { recursive: true });
    assert.equal(await look(suspects[2]!), 'all');
    assert.deepEqual(drawn(model), []);
  });

  test('a folder is not within another whose name only begins like it', () => {
    assert.equal(isWithin('/a/runs2', '/a/runs'), false);
    assert.equal(isWithin('/a/runs/x', '/a/runs'), true);
  });
});

describe('how things look', () => {
  test('an adapter can be inspected, merged and used where it is read here', async () => {
    const { folder, model, look } = await place();
    const mine = await adapter(path.join(folder, 'mine'));
    await look(mine);
    const { description, context, icon } = lookOf(entryAt(model, mine.folder));
    assert.match(description, /^lora r 4 · [\d.]+ KiB · \d{4}-\d\d-\d\d \d\d:\d\d$/);
    assert.deepEqual(
      context.join(' '),
      'adapter deletable placed inspectable comparable mergeable usable addable mixable convertible',
    );
    assert.equal(icon.name, 'layers');
  });
  test('a bottleneck adapter of the adapters library is used, not merged', async () => {
    const { folder, model, look } = await place();
    const mine = path.join(folder, 'parallel');
    await cp(fixture('adapters-library', 'llama', 'parallel'), mine, { recursive: true });
    await look({ kind: 'adapter', folder: mine });
    const { description, context } = lookOf(entryAt(model, mine));
    assert.match(description, /^bottleneck · /);
    assert.deepEqual(context, ['adapter', 'deletable', 'placed', 'inspectable', 'usable']);
  });
  test('a merged model says what was merged, below the run that it lies in', async () => {
    const { folder, model, look } = await place();
    const sql = path.join(folder, 'r');
    const merged = path.join(sql, 'adapter-merged');
    await mkdir(merged, { recursive: true });
    const facts = { dtype: 'BF16', verified_difference: 1e-6 };
    await writeMergeRecord(merged, { merged_adapters: ['/a'], base_model_name_or_path: 'tiny-llama', ...facts });
    // What the merge kept of its base is there, too.
    await mkdir(path.join(merged, 'original'));
    await writeFile(path.join(merged, 'original', 'weights.safetensors'), new Uint8Array(100_000));
    await mkdir(path.join(folder, 'bad'));
    await writeFile(path.join(folder, 'bad', MERGE_RECORD), '{}');
    await look(await run(sql), await adapter(path.join(sql, 'adapter')), { kind: 'merged', folder: merged });
    await look({ kind: 'merged', folder: path.join(folder, 'bad') });
    assert.deepEqual(
      drawn(model)
        .filter((line) => line.startsWith('    '))
        .sort(),
      ['    adapter', '    adapter-merged'],
    );
    assert.match(lookOf(entryAt(model, merged)).description, /^merged · BF16 · 9\d(?:\.\d)? KiB · /);
    assert.match(
      lookOf(entryAt(model, path.join(folder, 'bad'))).details.notes[0]!,
      /does not say what was merged/,
    );
  });
  test('what cannot be read says why, in place', async () => {
    const { folder, model, look } = await place();
    await mkdir(path.join(folder, 'broken'));
    await writeFile(path.join(folder, 'broken/adapter_config.json'), '{');
    await look({ kind: 'adapter', folder: path.join(folder, 'broken') });
    const found = lookOf(entryAt(model, path.join(folder, 'broken')));
    assert.deepEqual([found.icon.name, found.context], ['error', ['adapter', 'deletable', 'placed']]);
    assert.match(found.description, /^cannot be read/);
    assert.match(found.details.notes[0]!, /not valid JSON/);
    assert.equal(lookOfBase(model.base(model.roots()[0]!)!, 1).label, 'Base model not named');
  });
  test('an adapter with a fault says so, and can be repaired, not merged', async () => {
    const { folder, model, look } = await place();
    const parts = await adapterParts('peft-adapter');
    const mine = path.join(folder, 'faulty');
    await writeParts(mine, { ...parts, config: { ...parts.config, rank_pattern: {} } });
    await look({ kind: 'adapter', folder: mine });
    const { description, context, details } = lookOf(entryAt(model, mine));
    assert.match(description, /^faulty · lora r 4/);
    assert.deepEqual(
      ['repairable', 'inspectable', 'mergeable', 'usable'].map((word) => context.some((each) => each === word)),
      [true, true, false, false],
    );
    assert.match(details.notes[0]!, /^Fault: 3 of 14 modules are of rank 2, 6/);
  });
  test('LoRA adapters are offered to be mixed, and a mixture shows the search for it', async () => {
    const { folder, model, look } = await place();
    const mixed = path.join(folder, 'mixed');
    await look(await adapter(mixed));
    assert.ok(!lookOf(entryAt(model, mixed)).context.includes('mixture'));
    await writeFile(path.join(mixed, HUB_RECORD), '{}');
    await look({ kind: 'adapter', folder: mixed });
    const entry = entryAt(model, mixed);
    assert.ok(isMixable(entry) && lookOf(entry).context.includes('mixture'));
    assert.ok(!isMixable({ ...entry, unmatched: ['q_proj'] }));
    assert.ok(!isMixable({ ...entry, item: { ...entry.item, method: 'adalora' } as Entry['item'] }));
  });
  test('an adapter of another base is unmatched, and not merged', async () => {
    const { folder, model, look } = await place();
    await cp(path.join(models, 'tiny-llama'), path.join(folder, 'other'), { recursive: true });
    const parts = await adapterParts('peft-adapter');
    const tensors = parts.tensors.map((tensor) => ({
      ...tensor,
      name: tensor.name.replace('layers.1.', 'layers.7.'),
    }));
    const config = { ...parts.config, base_model_name_or_path: path.join(folder, 'other') };
    await writeParts(path.join(folder, 'mine'), { config, tensors });
    await look({ kind: 'adapter', folder: path.join(folder, 'mine') });
    const found = lookOf(entryAt(model, path.join(folder, 'mine')));
    assert.match(found.description, /^unmatched/);
    assert.match(found.details.notes[0]!, /^Unmatched: 7 of 14 modules are not in the base/);
    assert.equal(found.context.includes('mergeable'), false);
  });
  test('a run says where it stands, and offers what its adapter can', async () => {
    const { folder, model, look, alive } = await place();
    const at = path.join(folder, 'r');
    const look1 = async (...events: readonly object[]): Promise<ReturnType<typeof lookOf>> => {
      await look(await run(at, ...events));
      return lookOf(entryAt(model, at), entryAt(model, path.join(at, 'adapter')));
    };
    alive.add(at);
    const going = await look1({ type: 'step', step: 3, loss: 0.5 });
    assert.match(going.description, /^running, step 3 of 9 \(33 %\) · lora · loss 0\.5000 · /);
    assert.deepEqual(going.context, ['run', 'placed', 'running']);
    alive.clear();
    assert.match((await look1({ type: 'step', step: 4, loss: 0.25 })).description, /^interrupted · /);
    await mkdir(path.join(at, 'checkpoint-4'));
    const open = await look1({ type: 'step', step: 4, loss: 0.125 });
    assert.match(open.description, /^interrupted, resumable from step 4/);
    assert.deepEqual(open.context, ['run', 'placed', 'deletable', 'resumable']);
    const problem = { code: 'x', message: 'the loss is not finite', mend: 'Lower the rate' };
    const failed = await look1({ type: 'failed', problem });
    assert.match(failed.description, /^failed: the loss is not finite/);
    assert.equal(failed.details.notes[0], 'the loss is not finite. Lower the rate.');
    await adapter(path.join(at, 'adapter'));
    const adapterFolder = path.join(at, 'adapter');
    const done = await look1({
      type: 'finished',
      reason: 'completed',
      adapter: adapterFolder,
      metrics: {},
      seconds: 3,
    });
    assert.deepEqual(done.context, [
      'run',
      'placed',
      'deletable',
      'inspectable',
      'comparable',
      'mergeable',
      'usable',
      'addable',
      'mixable',
      'convertible',
    ]);
  });
  test('the methods that are offered are those that can be read and merged', () => {
    const read = Object.keys(READABLE_METHODS).map((name) => name.toUpperCase());
    // MoRA's `peft_type` is LoRA's.
    assert.deepEqual(read.sort(), [...PEFT_TYPES, 'MORA'].sort());
    for (const { type, mergeable } of METHODS) {
      if (type in READABLE_METHODS) assert.equal(READABLE_METHODS[type] === 'mergeable', mergeable, type);
    }
  });
  test('adapters that are differences or updates are offered to be combined, those of one base', async () => {
    for (const [type, form] of Object.entries(ADDABLE_METHODS)) {
      const format = adapterFormat({ peft_type: type.toUpperCase() });
      assert.equal(format?.differences, form === 'updates' ? undefined : form, type);
    }
    const others = PEFT_TYPES.filter((type) => !(type.toLowerCase() in ADDABLE_METHODS));
    for (const type of others) {
      const { differences, pair } = adapterFormat({ peft_type: type })!;
      assert.deepEqual([differences, pair], [undefined, undefined], type);
    }

    const { folder, model, look } = await place();
    const made: Record<string, Entry> = {};
    for (const [name, type, base] of [
      ['language', 'LT_SFT', 'one'],
      ['task', 'FISH_MASK', 'one'],
      ['foreign', 'PAFI', 'another'],
      ['biases', 'BITFIT', 'one'],
    ] as const) {
      const own = path.join(folder, name);
      await mkdir(own, { recursive: true });
      await writeFile(
        path.join(own, 'adapter_config.json'),
        JSON.stringify({ peft_type: type, base_model_name_or_path: base, target_modules: ['q_proj'] }),
      );
      const key = type === 'BITFIT' ? 'q_proj.bias.difference' : 'q_proj.weight.values';
      await writeSafetensors(path.join(own, 'adapter_model.safetensors'), [
        { name: key, dtype: 'F32', shape: [1], data: Float32Array.of(1) },
        ...(type === 'BITFIT'
          ? []
          : [{ name: 'q_proj.weight.indices', dtype: 'I32' as const, shape: [1], data: Int32Array.of(0) }]),
      ]);
      await look({ kind: 'adapter', folder: own });
      made[name] = entryAt(model, own);
      assert.ok(lookOf(made[name]).context.includes('addable'), name);
    }
    const [language, ...rest] = Object.values(made);
    assert.deepEqual(
      [language!, ...rest].filter((other) => addsUpWith(language!, other)),
      [made['task'], made['biases']],
    );
  });
  test('what can be merged after an adapter are those of its base that can be merged', async () => {
    const { folder, model, look } = await place();
    const made: Record<string, Entry> = {};
    for (const [name, type, base, key] of [
      ['language', 'LORA', 'one', 'base_model.model.q_proj.lora_A.weight'],
      ['biases', 'BITFIT', 'one', 'q_proj.bias.difference'],
      ['foreign', 'BITFIT', 'another', 'q_proj.bias.difference'],
      ['prompt', 'PROMPT_TUNING', 'one', 'prompt_embeddings'],
    ] as const) {
      const own = path.join(folder, name);
      await mkdir(own, { recursive: true });
      const config = { peft_type: type, base_model_name_or_path: base, target_modules: ['q_proj'] };
      await writeFile(path.join(own, 'adapter_config.json'), JSON.stringify(config));
      await writeSafetensors(path.join(own, 'adapter_model.safetensors'), [
        { name: key, dtype: 'F32', shape: [1, 1], data: Float32Array.of(1) },
      ]);
      await look({ kind: 'adapter', folder: own });
      made[name] = entryAt(model, own);
    }
    const [language, ...rest] = Object.values(made);
    assert.deepEqual(
      [language!, ...rest].filter((other) => mergesWith(language!, other)),
      [made['biases']],
    );
  });
  test('adapters whose updates are B·A are offered to be compared, with those of their base', async () => {
    const pairs = PEFT_TYPES.filter((type) => adapterFormat({ peft_type: type })?.pair !== undefined);
    assert.deepEqual(pairs.map((type) => type.toLowerCase()).sort(), [...COMPARABLE_METHODS].sort());
    const { folder, model, look } = await place();
    const [mine, other, foreign] = ['mine', 'other', 'foreign'].map((name) => path.join(folder, name));
    await look(await adapter(mine!), await adapter(other!), await adapter(foreign!, 'org/name'));
    const adalora = path.join(folder, 'adalora');
    await cp(fixture('adalora/schedule/final'), adalora, { recursive: true });
    const ia3 = path.join(folder, 'ia3');
    await cp(fixture('ia3/llama/final'), ia3, { recursive: true });
    await look({ kind: 'adapter', folder: adalora }, { kind: 'adapter', folder: ia3 });
    const entries = [mine, other, foreign, adalora, ia3].map((each) => entryAt(model, each!));
    const comparable = entries.filter((entry) => lookOf(entry).context.includes('comparable'));
    assert.deepEqual(comparable, entries.slice(0, 4));
    const beside = entries.filter((entry) => comparesWith(entries[0]!, entry)).map(({ item }) => item.folder);
    assert.deepEqual(beside, [other, adalora]);
  });
  test('what an adapter can become', async () => {
    const exact = PEFT_TYPES.filter(
      (type) => type !== 'LORA' && adapterFormat({ peft_type: type })?.pair !== undefined,
    );
    assert.deepEqual(exact.map((type) => type.toLowerCase()).sort(), [...EXACT_METHODS].sort());
    const { folder, model, look } = await place();
    const becomes = async (own: string): Promise<readonly string[]> => {
      await look({ kind: 'adapter', folder: own });
      const { item } = entryAt(model, own);
      const offered = lookOf(entryAt(model, own)).context.includes('convertible');
      assert.ok(item.kind === 'adapter');
      assert.equal(offered, conversionsOf(item).length > 0, own);
      return conversionsOf(item);
    };
    const copied = async (name: string, ...parts: string[]): Promise<string> => {
      const own = path.join(folder, name);
      await cp(fixture(...parts), own, { recursive: true });
      return own;
    };
    const mine = await adapter(path.join(folder, 'mine'));
    assert.deepEqual(await becomes(mine.folder), ['rank', 'energy', 'cut', 'gguf', 'delta']);
    const dora = await copied('dora', 'dora/linears/final');
    assert.deepEqual(await becomes(dora), ['rank', 'energy', 'cut', 'delta']);
    assert.deepEqual(
      lookOf(entryAt(model, dora)).context.filter((word) => /^(merge|add|mix)able$/.test(word)),
      ['mergeable'],
    );
    const adalora = await copied('adalora', 'adalora/schedule/final');
    assert.deepEqual(await becomes(adalora), ['exact', 'rank', 'energy', 'delta']);
    assert.deepEqual(await becomes(await copied('ia3', 'ia3/llama/final')), ['rank', 'energy', 'delta']);
    const started = await copied('pissa', 'original-base/pissa/trained');
    assert.deepEqual(await becomes(started), ['original-base']);
    const { context, details } = lookOf(entryAt(model, started));
    assert.ok(!context.includes('mergeable') && !context.includes('usable'));
    assert.match(details.notes.join(), /left of the base \(pissa\): convert it/);
    assert.ok(isFoundAgain('pissa') && !isFoundAgain('corda'));
  });
});
