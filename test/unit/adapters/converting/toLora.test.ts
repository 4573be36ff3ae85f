import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { attachAdapter } from '../../../../src/adapters/attachAdapter.js';
import { readAdapter } from '../../../../src/adapters/readAdapter.js';
import { toLora, tunedByAdapter, tunedModel } from '../../../../src/adapters/converting/toLora.js';
import type { Tuned } from '../../../../src/adapters/converting/toLora.js';
import { writeAdapter } from '../../../../src/adapters/writeAdapter.js';
import { random } from '../../../../src/common/random.js';
import type { SavedAdapter } from '../../../../src/methods/method.js';
import type { Checkpoint } from '../../../../src/models/checkpoint.js';
import { openCheckpoint } from '../../../../src/models/openCheckpoint.js';
import { problem, temporaryFolder, tokenizer } from '../../../support/adapters.js';
import { drawnLora } from '../../../support/drawnLora.js';
import { fixture, largestDifference } from '../../../support/fixtures.js';
import { logitsOf, openModel } from '../../../support/model.js';

const root = temporaryFolder();
const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const gpt2 = await openModel(fixture('gpt2', 'tiny-gpt2'));
const ROWS = [[5, 6, 70, 12, 9, 44, 3]];
let count = 0;

async function reloaded(saved: SavedAdapter, on: typeof opened) {
  const folder = path.join(root, String(++count));
  await writeAdapter(folder, saved, { tokenizer, card: '' });
  return attachAdapter(await readAdapter(folder), on.context);
}

/** All parameters of a model moved a little, as full fine-tuning leaves them. */
function moved(seed: number): Tuned {
  return (site, kind, base) => {
    const rng = random(seed, site.path, kind);
    return Promise.resolve(base.map((value) => value + 0.02 * rng.normal()));
  };
}

describe('the nearest LoRA', () => {
  test('to a LoRA of the same rank is that LoRA', async () => {
    for (let seed = 1; seed < 6; seed++) {
      const adapter = await drawnLora(path.join(root, `drawn-${seed}`), seed, opened.model);
      const own = await attachAdapter(adapter, opened.context);
      const { saved, modules, whole } = await toLora(
        tunedByAdapter(own.method, own.values),
        { rank: 9 },
        opened.context,
      );
      assert.deepEqual(whole, []);
      for (const { path: name, error } of modules) assert.ok(error < 1e-5, `${name}: ${error}`);
      const gap = largestDifference(
        await logitsOf(opened, ROWS, await reloaded(saved, opened)),
        await logitsOf(opened, ROWS, own),
      );
      assert.ok(gap < 1e-3, String(gap));
    }
  });

  for (const [name, on] of [
    ['Llama', opened],
    ['GPT-2, whose matrices are [in, out] and which has biases', gpt2],
  ] as const) {
    test(`to a whole fine-tune keeps norms and biases, and at full rank all of it: ${name}`, async () => {
      const tuned = moved(3);
      const rows = [ROWS[0]!.map((id) => id % on.model.vocabSize)];
      const { saved, modules, whole } = await toLora(tuned, { rank: 1000 }, on.context);
      assert.ok(modules.every(({ error }) => error < 1e-5));
      assert.ok(whole.some((each) => /(norm|ln_\w+)\.weight$/.test(each)));
      const near = await logitsOf(on, rows, await reloaded(saved, on));
      const base = await logitsOf(on, rows, undefined);
      assert.ok(largestDifference(near, base) > 1e-2);
      // Every parameter as it is now: norms and biases whole, matrices as W + B·A.
      const again = await toLora(tuned, { energy: 1 }, on.context);
      const full = await logitsOf(on, rows, await reloaded(again.saved, on));
      assert.ok(largestDifference(near, full) < 1e-3);
      const merged = await reloaded(saved, on);
      for (const site of on.model.sites) {
        for (const kind of ['weight', 'bias'] as const) {
          if (site[kind] === undefined) continue;
          const before = await on.context.read(site[kind]);
          const after = (await tuned(site, kind, before))!;
          const got = merged.method.merge!(site, kind, before, merged.values);
          assert.ok(got !== undefined, `${site.path}.${kind}`);
          assert.ok(largestDifference(got, after) < 1e-5, `${site.path}.${kind}`);
        }
      }
    });
  }

  test('says what its rank costs, and takes more of it where more energy is asked for', async () => {
    const low = await toLora(moved(4), { rank: 2 }, opened.context);
    const more = await toLora(moved(4), { rank: 8 }, opened.context);
    for (const [at, { rank, error }] of low.modules.entries()) {
      assert.equal(rank, 2);
      assert.ok(error > 0.3 && error < 1);
      assert.ok(more.modules[at]!.error < error);
    }
    const { modules } = await toLora(moved(4), { energy: 0.5 }, opened.context);
    assert.ok(modules.every(({ error }) => error <= Math.sqrt(0.5) + 1e-6));
  });

  test('leaves alone what did not change, and names what it cannot do', async () => {
    const only: Tuned = (site, _, base) =>
      Promise.resolve(site.path.endsWith('0.self_attn.q_proj') ? base.map((value) => value + 0.1) : undefined);
    const { saved, modules } = await toLora(only, { rank: 1 }, opened.context);
    assert.deepEqual(
      modules.map((each) => each.path),
      ['model.layers.0.self_attn.q_proj'],
    );
    assert.deepEqual(saved.config['target_modules'], ['model.layers.0.self_attn.q_proj']);
    const still: Tuned = (_, __, base) => Promise.resolve(base);
    await assert.rejects(toLora(still, { rank: 1 }, opened.context), problem('convert.nothing', '--model'));
    const other = tunedModel(await openCheckpoint(fixture('gpt2', 'tiny-gpt2')), 'CAUSAL_LM');
    await assert.rejects(toLora(other, { rank: 1 }, opened.context), problem('convert.other-model', 'no tensor'));
    const prompt = await readAdapter(fixture('prompt-tuning', 'llama'));
    const attached = await attachAdapter(prompt, opened.context);
    assert.throws(() => tunedByAdapter(attached.method, attached.values), problem('convert.not-mergeable'));
  });

  test('sees a head that was tied to the embedding in the base and has a matrix of its own since', async () => {
    const folder = fixture('decoders', 'tiny-qwen3');
    const tied = await openModel(folder);
    const base = await openCheckpoint(folder);
    const shared = 'model.embed_tokens.weight';
    const untied: Checkpoint = {
      ...base,
      config: { ...base.config, tie_word_embeddings: false },
      tensors: new Map([...base.tensors, ['lm_head.weight', base.tensors.get(shared)!]]),
      read: async (name) =>
        name === 'lm_head.weight' ? (await base.read(shared)).map((each) => each + 0.1) : base.read(name),
    };
    const { modules } = await toLora(tunedModel(untied, 'CAUSAL_LM'), { rank: 1 }, tied.context);
    assert.deepEqual(
      modules.map((each) => each.path),
      ['lm_head'],
    );
  });
});
