import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import type { Json } from '../../../src/common/json.js';
import type { AttachedAdapter } from '../../../src/adapters/attachAdapter.js';
import type { AdapterParts } from '../../support/adapters.js';
import { adapterParts, problem, temporaryFolder, writeParts } from '../../support/adapters.js';
import { drawnAdapter } from '../../support/drawnAdapter.js';
import { fixture } from '../../support/fixtures.js';
import { attachAdapter, openModel } from '../../support/model.js';

const folder = temporaryFolder();
const opened = await openModel(fixture('lora-reference/tiny-llama'));
let count = 0;

/** Attaches a fixture's adapter after a change. */
async function attachChanged(
  change: (parts: AdapterParts) => void,
  name = 'peft-adapter',
): Promise<AttachedAdapter> {
  const parts = await adapterParts(name);
  change(parts);
  return attachAdapter(opened, await writeParts(path.join(folder, String(++count)), parts));
}

function setting(key: string, value: Json): (parts: AdapterParts) => void {
  return (parts) => {
    parts.config = { ...parts.config, [key]: value };
  };
}

test('an adapter that PEFT wrote attaches without a warning', async () => {
  const { method, values, warnings } = await attachChanged(() => {});
  assert.equal(method.trainables.length, 28);
  assert.equal(values.size, 28);
  assert.deepEqual(warnings, []);
});

test("copies of the base's matrices are passed over and said", async () => {
  const { warnings } = await attachChanged(() => {}, 'peft-adapter-embedding');
  assert.deepEqual(
    warnings.map(({ code }) => code),
    ['adapter.base-copy', 'adapter.base-copy'],
  );
});

test('★14 an adapter of the bare backbone: the prefix is named', async () => {
  const stripped = attachChanged((parts) => {
    parts.tensors = parts.tensors.map((tensor) => ({
      ...tensor,
      name: tensor.name.replace('base_model.model.model.', 'base_model.model.'),
    }));
  });
  await assert.rejects(
    stripped,
    problem(
      'adapter.keys',
      "rename 'base_model.model.layers.",
      "to 'base_model.model.model.layers.",
      '28 missing',
    ),
  );
});

test('★15 an unknown key that is off warns, one that changes the arithmetic stops', async () => {
  const { warnings } = await attachChanged(setting('use_magic', false));
  assert.deepEqual(
    warnings.map(({ code, message }) => [code, message.includes('use_magic')]),
    [['adapter.unknown-key', true]],
  );
  await assert.rejects(attachChanged(setting('use_qalora', true)), problem('adapter.config', 'use_qalora'));
  await assert.rejects(attachChanged(setting('enable_lora', [true])), problem('adapter.config', 'enable_lora'));
});

test('★38 a vocabulary of another size: both are named', async () => {
  const bigger = attachChanged((parts) => {
    parts.tensors = parts.tensors.map((tensor) =>
      tensor.name.endsWith('lm_head.lora_B.weight')
        ? { ...tensor, shape: [129, 4], data: new Float32Array(129 * 4) }
        : tensor,
    );
  }, 'peft-adapter-embedding');
  await assert.rejects(bigger, problem('adapter.shape', '[129, 4]', '[128, 4]', /resize/));
});

test('★39 PEFT writes an embedding and a head of a resized vocabulary three times each', async () => {
  const { values, warnings } = await attachChanged((parts) => {
    parts.config = { ...parts.config, modules_to_save: ['embed_tokens', 'lm_head'] };
    for (const path of ['model.embed_tokens', 'lm_head']) {
      for (const inside of ['', '.modules_to_save', '.original_module']) {
        const data = new Float32Array(128 * 32).fill(inside === '.original_module' ? 1 : 2);
        parts.tensors.push({ name: `base_model.model.${path}${inside}.weight`, shape: [128, 32], data });
      }
    }
  });
  assert.deepEqual(
    ['model.embed_tokens.weight', 'lm_head.weight'].map((name) => values.get(name)?.[7]),
    [2, 2],
  );
  assert.deepEqual(warnings, []);
});

test('PEFT writes the bias of a head for masked tokens under both of its names', async () => {
  const bert = await openModel(fixture('encoders/tiny-bert'), { type: 'MASKED_LM' });
  const options = { type: 'lora', r: 2, target_modules: ['query'], bias: 'all' } as const;
  const own = await drawnAdapter(path.join(folder, 'masked'), 1, options, bert);
  const tensors = [...(await own.loadTensors()).values()];
  const bias = tensors.find(({ name }) => name.endsWith('.predictions.decoder.bias'))!;
  const twice = [...tensors, { ...bias, name: 'base_model.model.cls.predictions.bias' }];
  const { values, warnings } = await attachAdapter(
    bert,
    await writeParts(path.join(folder, 'masked-by-peft'), { config: own.config, tensors: twice }),
  );
  assert.deepEqual(values.get('cls.predictions.decoder.bias'), bias.data);
  assert.deepEqual(warnings, []);
});

test('★44 an adapter that started from a changed base', async () => {
  for (const start of ['pissa', 'pissa_niter_4', 'olora', 'corda', 'loftq']) {
    await assert.rejects(attachChanged(setting('init_lora_weights', start)), problem('adapter.config', start));
  }
});

test('a missing B and a module that the base lacks', async () => {
  const withoutB = attachChanged((parts) => {
    parts.tensors = parts.tensors.filter(({ name }) => !name.endsWith('layers.1.mlp.up_proj.lora_B.weight'));
  });
  await assert.rejects(withoutB, problem('adapter.keys', '1 missing', 'layers.1.mlp.up_proj.lora_B.weight'));
  await assert.rejects(
    attachChanged(setting('target_modules', ['c_attn'])),
    problem('targets.no-match', 'adapter_config.json', 'c_attn'),
  );
});

test('★1 ★5 names that the model lacks beside those it has do not keep an adapter from attaching, as in PEFT', async () => {
  const { values, warnings } = await attachChanged((parts) => {
    const targets = parts.config['target_modules'] as string[];
    parts.config = {
      ...parts.config,
      target_modules: [...targets, 'query_key_value'],
      modules_to_save: ['classifier', 'score'],
      rank_pattern: { ...(parts.config['rank_pattern'] as object), c_attn: 3 },
    };
  });
  assert.equal(values.size, 28);
  assert.deepEqual(
    warnings.map(({ code, severity, message, where }) => [
      code,
      severity,
      /'(\w+)'/.exec(message)?.[1],
      path.basename(where!.file),
    ]),
    [
      ['targets.no-match', 'warning', 'query_key_value', 'adapter_config.json'],
      ['targets.idle-pattern', 'warning', 'c_attn', 'adapter_config.json'],
      ['targets.no-match', 'warning', 'classifier', 'adapter_config.json'],
      ['targets.no-match', 'warning', 'score', 'adapter_config.json'],
    ],
  );
  const foreign = attachChanged((parts) => {
    parts.config = { ...parts.config, modules_to_save: ['classifier'] };
    parts.tensors.push({ name: 'base_model.model.classifier.weight', shape: [1], data: Float32Array.of(1) });
  });
  await assert.rejects(foreign, problem('adapter.keys', '1 not used', 'classifier'));
});

test('values that no option takes and numbers that are not finite', async () => {
  await assert.rejects(attachChanged(setting('r', -1)), problem('adapter.config', 'r: -1'));
  const nan = attachChanged((parts) => {
    parts.tensors[3]!.data[5] = NaN;
  });
  await assert.rejects(nan, problem('adapter.non-finite', 'NaN at position 5'));
});

test('a warning about a name that is as long as a book is cut', async () => {
  const { warnings } = await attachChanged((parts) => {
    parts.config = { ...parts.config, modules_to_save: ['long '.repeat(10_000)] };
  });
  assert.deepEqual(
    warnings.map(({ code, message }) => [code, message.length < 3000]),
    [['targets.no-match', true]],
  );
});
