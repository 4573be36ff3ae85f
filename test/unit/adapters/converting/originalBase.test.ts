// Adapters that PEFT saved unconverted (public report 44): on the original base they are what PEFT's own conversion makes.
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { attachAdapter } from '../../../../src/adapters/attachAdapter.js';
import {
  changedBaseStart,
  foundStarts,
  onOriginalBase,
  savedStarts,
} from '../../../../src/adapters/converting/originalBase.js';
import { readAdapter } from '../../../../src/adapters/readAdapter.js';
import type { AdapterOnDisk } from '../../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../../src/adapters/writeAdapter.js';
import type { SavedAdapter } from '../../../../src/methods/method.js';
import { adapterParts, problem, temporaryFolder, tokenizer, writeParts } from '../../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readJson, readTensors } from '../../../support/fixtures.js';
import { logitsOf, openModel } from '../../../support/model.js';

const root = temporaryFolder();
const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const own = (name: string, which: string): Promise<AdapterOnDisk> =>
  readAdapter(fixture('original-base', name, which));
let count = 0;

async function logitsWith(saved: SavedAdapter, rows: number[][]): Promise<Float32Array> {
  const folder = path.join(root, String(++count));
  await writeAdapter(folder, saved, { tokenizer, card: '' });
  return logitsOf(opened, rows, await attachAdapter(await readAdapter(folder), opened.context));
}

/** Those that PEFT computed with the base that the adapter was trained on. */
async function expected(name: string): Promise<{ rows: number[][]; logits: Float32Array }> {
  const file = fixture('original-base', name, 'logits.safetensors');
  return { rows: await readInputIds(file), logits: (await readTensors(file)).get('logits')!.data };
}

describe('an adapter that was trained on what its start left of the base', () => {
  for (const name of ['pissa', 'olora', 'niter', 'dora']) {
    test(`with the initial adapter: ${name}`, async () => {
      const [initial, trained] = [await own(name, 'initial'), await own(name, 'trained')];
      assert.ok(changedBaseStart(trained) !== undefined);
      await assert.rejects(attachAdapter(trained, opened.context), problem('adapter.config', '--initial'));
      const { saved, modules } = await onOriginalBase(trained, await savedStarts(initial, trained));
      assert.equal(modules.length, 4);
      const { rows, logits } = await expected(name);
      assert.ok(largestDifference(await logitsOf(opened, rows), logits) > 1e-2);
      assert.ok(largestDifference(await logitsWith(saved, rows), logits) <= 1e-4);
      if (name === 'dora') return; // PEFT's conversion loses the magnitudes.
      const theirs = fixture('original-base', name, 'converted');
      const config = await readJson(`${theirs}/adapter_config.json`);
      for (const key of ['r', 'lora_alpha', 'rank_pattern', 'alpha_pattern', 'init_lora_weights', 'use_rslora']) {
        assert.deepEqual(saved.config[key], config[key], key);
      }
      const wanted = await readTensors(`${theirs}/adapter_model.safetensors`);
      assert.equal(saved.tensors.length, wanted.size);
      for (const { name: tensor, shape, data } of saved.tensors) {
        assert.deepEqual([shape, data], [wanted.get(tensor)!.shape, wanted.get(tensor)!.data], tensor);
      }
    });
  }

  for (const name of ['pissa', 'olora', 'dora']) {
    test(`with the base, in which the start is found again: ${name}`, async () => {
      const trained = await own(name, 'trained');
      const { saved } = await onOriginalBase(trained, await foundStarts(trained, opened.context));
      const { rows, logits } = await expected(name);
      const difference = largestDifference(await logitsWith(saved, rows), logits);
      assert.ok(difference <= 1e-4, String(difference));
    });
  }

  test('is refused where the start had draws or data in it, or is not what it is said to be', async () => {
    const niter = await own('niter', 'trained');
    await assert.rejects(
      foundStarts(niter, opened.context),
      problem('convert.start', 'pissa_niter_4', '--initial'),
    );
    const parts = await adapterParts('peft-adapter');
    const made = async (init: string | boolean): Promise<AdapterOnDisk> =>
      readAdapter(
        await writeParts(path.join(root, `init-${String(init)}`), {
          ...parts,
          config: { ...parts.config, init_lora_weights: init },
        }),
      );
    await assert.rejects(
      foundStarts(await made('corda'), opened.context),
      problem('convert.start', 'training data'),
    );
    const starts = (): Promise<undefined> => Promise.resolve(undefined);
    await assert.rejects(onOriginalBase(await made('loftq'), starts), problem('convert.start', 'quantization'));
    await assert.rejects(onOriginalBase(await made(false), starts), problem('convert.start', 'at random'));
    assert.equal(changedBaseStart(await made(true)), undefined);

    const [pissa, olora] = [await own('pissa', 'trained'), await own('olora', 'initial')];
    await assert.rejects(savedStarts(olora, pissa), problem('convert.initial', 'use_rslora'));
    await assert.rejects(savedStarts(pissa, pissa), problem('convert.initial', 'numbers of the trained one'));
  });
});
