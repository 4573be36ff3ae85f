// Adapters whose updates are products of a low rank, as plain LoRA: the same numbers, and no singular value is computed.
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { attachAdapter } from '../../../../src/adapters/attachAdapter.js';
import { exactFactors } from '../../../../src/adapters/converting/exactFactors.js';
import { readAdapter } from '../../../../src/adapters/readAdapter.js';
import { toLora, tunedByAdapter } from '../../../../src/adapters/converting/toLora.js';
import { writeAdapter } from '../../../../src/adapters/writeAdapter.js';
import { random } from '../../../../src/common/random.js';
import { AdaLoraOptions } from '../../../../src/methods/adalora.js';
import { LotrOptions } from '../../../../src/methods/lotr.js';
import { MeloraOptions } from '../../../../src/methods/melora.js';
import { attachMethod } from '../../../../src/methods/registry.js';
import type { MethodConfig } from '../../../../src/methods/registry.js';
import { fixedSize } from '../../../../src/tensor/dims.js';
import { problem, temporaryFolder, tokenizer } from '../../../support/adapters.js';
import { fixture, largestDifference } from '../../../support/fixtures.js';
import { logitsOf, openModel } from '../../../support/model.js';

const root = temporaryFolder();
const llama = fixture('lora-reference', 'tiny-llama');
const gpt2 = fixture('gpt2', 'tiny-gpt2');
const ROWS = [[5, 6, 70, 12, 9, 44, 3]];

const CASES: readonly [name: string, base: string, config: MethodConfig, ranks: readonly number[]][] = [
  [
    'AdaLoRA, modules of ranks 0 to 5, with biases and a whole module',
    llama,
    Value.Parse(AdaLoraOptions, {
      type: 'adalora',
      init_r: 5,
      target_r: 2,
      lora_alpha: 7,
      modules_to_save: ['norm'],
    }),
    [1, 2, 3, 4, 5],
  ],
  [
    "AdaLoRA of GPT-2's Conv1D, with the biases of adapted modules, of which one has rank 0",
    gpt2,
    Value.Parse(AdaLoraOptions, {
      type: 'adalora',
      init_r: 5,
      target_r: 2,
      bias: 'lora_only',
      target_modules: ['c_attn', 'c_fc'],
    }),
    [1, 2, 3],
  ],
  ['MELoRA', llama, Value.Parse(MeloraOptions, { type: 'melora', l_num: 2, r: 3 }), [6]],
  [
    "MELoRA of GPT-2's Conv1D, with all biases",
    gpt2,
    Value.Parse(MeloraOptions, {
      type: 'melora',
      l_num: 4,
      r: 1,
      bias: 'all',
      target_modules: ['c_attn', 'c_proj'],
    }),
    [4],
  ],
  ['LoTR', llama, Value.Parse(LotrOptions, { type: 'lotr', r: 3, scale: 5 }), [3]],
];

describe('updates of a low rank as plain LoRA', () => {
  for (const [at, [name, base, config, ranks]] of CASES.entries()) {
    test(name, async () => {
      const opened = await openModel(base);
      const method = attachMethod(config, opened.context);
      const generator = random(3, name);
      let modules = 0;
      const values = new Map(
        method.trainables.map(({ variable: { name: own, shape } }) => {
          const live = own.endsWith('.lora_E') ? modules++ % 6 : Infinity;
          const draw = (_: unknown, index: number): number => (index < live ? 0.3 * generator.normal() : 0);
          return [own, Float32Array.from({ length: fixedSize(shape) }, draw)];
        }),
      );
      const saved = method.save(values);
      assert.ok(saved.kind === 'adapter');
      const folder = path.join(root, String(at));
      await writeAdapter(folder, saved, { tokenizer, card: '' });
      const adapter = await readAdapter(folder);
      const own = await attachAdapter(adapter, opened.context);
      const factors = await exactFactors(adapter);
      assert.ok(factors !== undefined);
      const found = await toLora(tunedByAdapter(own.method, own.values), { factors }, opened.context);
      assert.deepEqual([...new Set(found.modules.map(({ rank }) => rank))].sort(), [...ranks]);
      assert.ok(found.modules.every(({ error }) => error === 0));

      const out = `${folder}-lora`;
      await writeAdapter(out, found.saved, { tokenizer, card: '' });
      const lora = await attachAdapter(await readAdapter(out), opened.context);
      assert.deepEqual(
        lora.warnings.filter(({ code }) => code !== 'lora.tied'),
        [],
      );
      const [before, after] = [await logitsOf(opened, ROWS, own), await logitsOf(opened, ROWS, lora)];
      assert.ok(largestDifference(before, await logitsOf(opened, ROWS)) > 1e-2);
      assert.ok(largestDifference(before, after) <= 2e-5, String(largestDifference(before, after)));
      // A and B themselves, for a module of full rank: nothing was taken apart.
      const [whole] = found.modules.filter(({ rank }) => rank === Math.max(...ranks));
      const b = found.saved.tensors.find(
        ({ name: key }) => key === `base_model.model.${whole!.path}.lora_B.weight`,
      );
      assert.deepEqual(b!.data, factors.get(whole!.path)!.b);
    });
  }

  test('others have none, and a damaged one is named', async () => {
    assert.equal(await exactFactors(await readAdapter(fixture('lora-reference', 'peft-adapter'))), undefined);
    assert.equal(await exactFactors(await readAdapter(fixture('ia3', 'llama'))), undefined);
    const adapter = await readAdapter(fixture('adalora', 'whole'));
    const [lost] = [...adapter.tensors.keys()].filter((key) => key.endsWith('lora_E'));
    const tensors = new Map([...adapter.tensors].filter(([key]) => key !== lost));
    await assert.rejects(exactFactors({ ...adapter, tensors }), problem('adapter.shape'));
  });
});
