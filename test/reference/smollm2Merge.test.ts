// SmolLM2 with a LoRA merged by us, loaded by Transformers: its logits beside ours and beside PEFT's merge_and_unload.
//
//   PEFT_STUDIO_PYTHON=VENV/bin/python PEFT_STUDIO_SMOLLM2=FOLDER node test/run.mjs test/reference/smollm2Merge.test.ts
//
// FOLDER: what smollm2_reference.py wrote.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { mergeAdapter } from '../../src/adapters/merging/merge.js';
import { openModel as openWithTokenizer } from '../../src/engines/session.js';
import { random } from '../../src/common/random.js';
import { temporaryFolder } from '../support/adapters.js';
import { drawnAdapter } from '../support/drawnAdapter.js';
import { largestDifference, readTensors } from '../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';
import { pythonServer } from './pythonServer.js';

const python = process.env['PEFT_STUDIO_PYTHON'];
const base = process.env['PEFT_STUDIO_SMOLLM2'];
const skip = (python === undefined || base === undefined) && 'set PEFT_STUDIO_PYTHON and PEFT_STUDIO_SMOLLM2';
const server = pythonServer(python ?? '');
after(() => server.end());

const ROWS = [7, 8].map((seed) => {
  const generator = random(seed, 'reference rows');
  return Array.from({ length: 24 }, () => generator.integer(49152));
});

test(
  'SmolLM2 merged and reloaded in Transformers gives the logits of the adapter applied',
  { skip },
  async (t) => {
    const folder = temporaryFolder();
    const [adapter, out, ids] = ['adapter', 'merged', 'ids.json'].map((name) => path.join(folder, name));
    const opened = await openModel(base!);
    await drawnAdapter(
      adapter!,
      1,
      { type: 'lora', r: 4, lora_alpha: 0.05, target_modules: 'all-linear' },
      opened,
    );
    const attached = await attachAdapter(opened, adapter!);
    const { tokenizer } = await openWithTokenizer(base!, 1);
    await mergeAdapter({ ...opened, ...attached, tokenizer, out: out! });
    const [ours, plain] = [await logitsOf(opened, ROWS, attached), await logitsOf(opened, ROWS)];

    await writeFile(ids!, JSON.stringify(ROWS));
    const logits = async (script: string, folders: readonly string[], names: readonly string[]) => {
      const file = path.join(folder, `${script}.safetensors`);
      await server.run(script, ...folders, ids!, file);
      const found = await readTensors(file);
      return names.map((name) =>
        Float32Array.from(ROWS.flatMap((_, at) => [...found.get(`${name}.${at}`)!.data])),
      );
    };
    const [reloaded] = await logits('logits.py', [out!], ['logits']);
    const [applied, unloaded] = await logits('peft_loads_ours.py', [base!, adapter!], ['logits', 'merged']);
    const scale = ours.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
    const apart = (other: Float32Array): number => largestDifference(ours, other) / scale;
    t.diagnostic(
      `relative to ${scale.toFixed(1)}: reloaded ${apart(reloaded!).toExponential(1)}, PEFT's merge_and_unload ` +
        `${apart(unloaded!).toExponential(1)}, PEFT applied ${apart(applied!).toExponential(1)}, base ${apart(plain).toExponential(1)}`,
    );
    assert.ok(apart(plain) > 1e-2, 'the adapter does something');
    for (const other of [reloaded!, unloaded!, applied!]) assert.ok(apart(other) <= 1e-4, `${apart(other)}`);
    assert.ok(largestDifference(reloaded!, unloaded!) / scale <= 1e-4);
  },
);
