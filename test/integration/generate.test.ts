import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createGenerator } from '../../src/generation/generate.js';
import type { Generator } from '../../src/generation/generate.js';
import type { Attached, Values } from '../../src/methods/method.js';
import { readModel } from '../../src/models/readModel.js';
import type { Runtime } from '../../src/runtime/runtime.js';
import { fixture } from '../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';
import type { Opened } from '../support/model.js';

type Adapter = { method: Attached; values: Values };

const PROMPTS = [[5], [17, 3, 99, 54, 8, 120, 33, 41, 6], [64, 2, 90], [1, 77, 12, 30]];
const GREEDY = { max_new_tokens: 20 };

function generatorOf(opened: Opened, adapter?: Adapter, positionLimit = 64): Promise<Generator> {
  return createGenerator({
    ...opened,
    methods: adapter === undefined ? [] : [adapter.method],
    values: adapter?.values ?? new Map(),
    positionLimit,
  });
}

/**
 * Most likely next tokens without any cache: the whole row in one run, each position's own. Since no position
 * sees a later one, they equal `answer` exactly when decoding step by step does.
 */
async function uncached(
  opened: Opened,
  prompt: readonly number[],
  answer: readonly number[],
  adapter?: Adapter,
): Promise<number[]> {
  const logits = await logitsOf(opened, [[...prompt, ...answer]], adapter);
  const size = opened.model.vocabSize;
  return answer.map((_, at) => {
    const position = prompt.length - 1 + at;
    const own = logits.subarray(position * size, (position + 1) * size);
    return own.indexOf(Math.max(...own));
  });
}

function tiny(name: string): Promise<Opened> {
  return openModel(fixture('lora-reference', name));
}

/** tiny-mistral with another window; null: none. */
async function windowed(sliding_window: number | null): Promise<Opened> {
  const opened = await tiny('tiny-mistral');
  const config = { ...opened.checkpoint.config, sliding_window };
  return { ...opened, model: readModel({ ...opened.checkpoint, config }) };
}

const MODELS = {
  'tiny-llama': () => tiny('tiny-llama'),
  'tiny-llama-tied': () => tiny('tiny-llama-tied'),
  // Six tokens: prompts and answers are longer.
  'tiny-mistral': () => tiny('tiny-mistral'),
};

for (const [name, open] of Object.entries(MODELS)) {
  test(`${name}: a batch with cache generates what each prompt does alone without`, async () => {
    const opened = await open();
    const generator = await generatorOf(opened);
    const batch = await generator.generate(PROMPTS, GREEDY);
    for (const [row, prompt] of PROMPTS.entries()) {
      assert.equal(batch[row]!.reason, 'length');
      assert.equal(batch[row]!.ids.length, 20);
      assert.deepEqual(batch[row]!.ids, await uncached(opened, prompt, batch[row]!.ids), `row ${row}`);
      assert.deepEqual(await generator.generate([prompt], GREEDY), [batch[row]], `row ${row} alone`);
    }
    assert.equal(new Set(batch.map(({ ids }) => ids.join())).size, PROMPTS.length, 'rows differ');
    await generator.dispose();
  });
}

test('the sliding window matters to its test', async () => {
  const [plain, narrow] = [await generatorOf(await windowed(null)), await generatorOf(await windowed(6))];
  assert.notDeepEqual(await plain.generate(PROMPTS, GREEDY), await narrow.generate(PROMPTS, GREEDY));
  await Promise.all([plain.dispose(), narrow.dispose()]);
});

test('an attached adapter takes part', async () => {
  const opened = await tiny('tiny-llama');
  const adapter = await attachAdapter(opened, fixture('lora-reference', 'peft-adapter'));
  const [base, tuned] = [await generatorOf(opened), await generatorOf(opened, adapter)];
  const found = await tuned.generate(PROMPTS, GREEDY);
  for (const [row, prompt] of PROMPTS.entries()) {
    assert.deepEqual(found[row]!.ids, await uncached(opened, prompt, found[row]!.ids, adapter), `row ${row}`);
  }
  assert.notDeepEqual(found, await base.generate(PROMPTS, GREEDY));
  await Promise.all([base.dispose(), tuned.dispose()]);
});

test('a row ends by itself, and the others go on as before', async () => {
  const generator = await generatorOf(await tiny('tiny-llama'));
  const full = await generator.generate(PROMPTS, GREEDY);
  const end = full[1]!.ids[4]!;
  const cut = (ids: readonly number[]): readonly number[] =>
    ids.includes(end) ? ids.slice(0, ids.indexOf(end) + 1) : ids;
  const ended = await generator.generate(PROMPTS, { ...GREEDY, eos_token_id: [end] });
  assert.ok(ended[1]!.ids.length <= 5);
  for (const [row, { ids, reason }] of ended.entries()) {
    assert.deepEqual(ids, cut(full[row]!.ids));
    assert.equal(reason, full[row]!.ids.includes(end) ? 'eos' : 'length');
  }
  assert.ok(
    ended.some(({ reason }) => reason === 'length'),
    'some row goes on',
  );

  const heard: number[][] = PROMPTS.map(() => []);
  const stopped = await generator.generate(PROMPTS, GREEDY, (row, id) => {
    heard[row]!.push(id);
    return row % 2 === 0 || heard[row]!.length < 3 + row;
  });
  assert.deepEqual(
    stopped.map(({ reason }) => reason),
    ['length', 'stopped', 'length', 'stopped'],
  );
  assert.deepEqual(
    stopped.map(({ ids }) => ids.length),
    [20, 4, 20, 6],
  );
  for (const [row, { ids }] of stopped.entries()) {
    assert.deepEqual(ids, full[row]!.ids.slice(0, ids.length));
    assert.deepEqual(heard[row], ids);
  }
  await generator.dispose();
});

test('sampling follows its seed, row by row', async () => {
  const generator = await generatorOf(await tiny('tiny-llama'));
  const sampled = (seed: number, prompts = PROMPTS) =>
    generator.generate(prompts, { ...GREEDY, temperature: 1.5, top_p: 0.95, seed });
  const first = await sampled(3);
  assert.deepEqual(await sampled(3), first);
  assert.notDeepEqual(await sampled(4), first);
  assert.deepEqual(await sampled(3, PROMPTS.slice(0, 2)), first.slice(0, 2), 'other rows do not shift the draws');
  const twins = await sampled(3, [PROMPTS[1]!, PROMPTS[1]!]);
  assert.notDeepEqual(twins[0], twins[1], 'rows draw independently');
  await generator.dispose();
});

test('a repetition penalty reaches prompt and answer', async () => {
  const generator = await generatorOf(await tiny('tiny-llama'));
  const rows = await generator.generate(PROMPTS, { ...GREEDY, repetition_penalty: 1e6 });
  for (const [row, { ids }] of rows.entries()) {
    const all = [...PROMPTS[row]!, ...ids];
    assert.equal(new Set(all).size, all.length, `row ${row} repeats no token`);
  }
  await generator.dispose();
});

test('the position limit ends rows and refuses prompts', async () => {
  const opened = await tiny('tiny-llama');
  const generator = await generatorOf(opened, undefined, 12);
  const rows = await generator.generate(PROMPTS, GREEDY);
  assert.deepEqual(
    rows.map(({ ids, reason }) => [ids.length, reason]),
    PROMPTS.map((prompt) => [12 - prompt.length, 'length']),
  );
  for (const [row, prompt] of PROMPTS.entries()) {
    assert.deepEqual(rows[row]!.ids, await uncached(opened, prompt, rows[row]!.ids));
  }
  const refuses = (prompts: number[][], code: string, message: RegExp) =>
    assert.rejects(generator.generate(prompts, GREEDY), (error: Error & { problem: { code: string } }) => {
      assert.equal(error.problem.code, code);
      assert.match(error.message, message);
      return true;
    });
  await refuses([[1], new Array<number>(12).fill(1)], 'generation.prompt-too-long', /prompt 2 has 12 tokens/);
  await refuses([[]], 'generation.empty-prompt', /prompt 1 holds no token/);
  await refuses([[1, 128]], 'generation.token', /token id 128/);
  await refuses([[-1]], 'generation.token', /token id -1/);
  assert.equal((await generator.generate([new Array<number>(11).fill(1)], GREEDY))[0]!.ids.length, 1);
  assert.deepEqual(await generator.generate([], GREEDY), []);
  await generator.dispose();
  await assert.rejects(
    generatorOf(opened, undefined, 257),
    /up to 257 tokens\nExpected: a whole number from 2 to 256/,
  );
});

test('keys and values use few buffers, all given back; dispose releases the program', async () => {
  const opened = await tiny('tiny-llama');
  const buffers = new Map<string, Set<WeakRef<object>>>();
  const known = new WeakMap<object, WeakRef<object>>();
  let disposed = 0;
  const watched: Runtime = {
    ...opened.runtime,
    async compile(outputs, weights) {
      const program = await opened.runtime.compile(outputs, weights);
      return {
        reads: program.reads,
        weightBytes: program.weightBytes,
        run(feeds, into = {}) {
          for (const [name, { data }] of Object.entries(into)) {
            const reference = known.get(data.buffer) ?? new WeakRef<object>(data.buffer);
            known.set(data.buffer, reference);
            buffers.set(name, (buffers.get(name) ?? new Set()).add(reference));
          }
          return program.run(feeds, into);
        },
        dispose() {
          disposed += 1;
          return program.dispose();
        },
      };
    },
  };
  const generator = await generatorOf({ ...opened, runtime: watched });
  const rows = await generator.generate(PROMPTS, { max_new_tokens: 50 });
  assert.equal(rows[0]!.ids.length, 50);
  assert.deepEqual([...buffers.keys()].sort(), ['keys.0', 'keys.1', 'values.0', 'values.1']);
  for (const [name, references] of buffers) assert.equal(references.size, 2, `${name} alternates between two`);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let round = 0; round < 3; round++) {
    await setImmediate();
    collect();
  }
  for (const reference of [...buffers.values()].flatMap((each) => [...each])) {
    assert.equal(reference.deref(), undefined, 'nothing holds the buffer after the generation');
  }
  await generator.dispose();
  assert.equal(disposed, 1);
});
