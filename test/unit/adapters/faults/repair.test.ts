import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { attachAdapter } from '../../../../src/adapters/attachAdapter.js';
import { inspectAdapter } from '../../../../src/adapters/inspect.js';
import { readAdapter } from '../../../../src/adapters/readAdapter.js';
import { findFaults, unmended, writeRepaired } from '../../../../src/adapters/faults/repair.js';
import type { Findings } from '../../../../src/adapters/faults/repair.js';
import type { Json, JsonObject } from '../../../../src/common/json.js';
import { isError } from '../../../../src/common/problem.js';
import type { NamedTensor } from '../../../../src/methods/method.js';
import { floatBytes } from '../../../../src/models/floatBytes.js';
import type { AdapterParts } from '../../../support/adapters.js';
import { adapterParts, names, problem, temporaryFolder, writeParts } from '../../../support/adapters.js';
import { fixture, readJson } from '../../../support/fixtures.js';
import { openModel } from '../../../support/model.js';

const folder = temporaryFolder();
const base = await openModel(fixture('lora-reference/tiny-llama'));
const sound = await attachAdapter(await readAdapter(fixture('lora-reference/peft-adapter')), base.context);
let count = 0;

type Change = (parts: AdapterParts) => void;

async function changed(change: Change): Promise<string> {
  const parts = await adapterParts('peft-adapter');
  change(parts);
  return writeParts(path.join(folder, String(++count)), parts);
}

const setting =
  (values: Readonly<Record<string, Json | undefined>>): Change =>
  (parts) => {
    const all = Object.entries({ ...parts.config, ...values });
    parts.config = Object.fromEntries(all.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
  };

const renaming =
  (rename: (name: string) => string): Change =>
  (parts) => {
    parts.tensors = parts.tensors.map((tensor) => ({ ...tensor, name: rename(tensor.name) }));
  };

function transposed({ name, shape, data }: NamedTensor): NamedTensor {
  const [rows, columns] = shape as [number, number];
  return {
    name,
    shape: [columns, rows],
    data: Float32Array.from(data, (_, at) => data[(at % rows) * columns + Math.floor(at / rows)]!),
  };
}

const codes = ({ faults, rest }: Findings): string[] => [
  ...faults.map((fault) => fault.problem.code),
  ...rest.map(({ code }) => code),
];

/** Faults whose repair gives the adapter back as it was. */
const MENDED: Readonly<Record<string, { change: Change; code: string; differences: RegExp; onBase?: true }>> = {
  'trained on the bare backbone (★14)': {
    change: renaming((name) => name.replace('model.model.model.', 'model.model.')),
    code: 'adapter.keys',
    differences: /^base_model\.model\.layers\.0\S+ → base_model\.model\.model\.layers\.0/,
    onBase: true,
  },
  'without a prefix': {
    change: renaming((name) => name.replace('base_model.model.', '')),
    code: 'adapter.keys',
    differences: /^model\.layers\S+ → base_model\.model\.model\.layers/,
  },
  'the adapter’s name in the keys': {
    change: renaming((name) => name.replace(/\.weight$/, '.default.weight')),
    code: 'adapter.keys',
    differences: /lora_A\.default\.weight → \S+\.lora_A\.weight$/,
  },
  'saved from DDP and torch.compile': {
    change: renaming((name) => `module.${name.replace('self_attn', '_orig_mod.self_attn')}`),
    code: 'adapter.keys',
    differences: /^module\.base_model/,
  },
  'wrapped twice': {
    change: renaming((name) => `base_model.model.${name}`),
    code: 'adapter.keys',
    differences: /^base_model\.model\.base_model/,
  },
  'A and B transposed': {
    change: (parts) => {
      parts.tensors = parts.tensors.map(transposed);
    },
    code: 'adapter.shape',
    differences: /lora_A\.weight: \[48, 4\] → \[4, 48\]/,
    onBase: true,
  },
  'no rank_pattern': {
    change: setting({ rank_pattern: {} }),
    code: 'adapter.rank',
    differences: /q_proj: r 4 → 2$/,
  },
  'another r': { change: setting({ r: 16 }), code: 'adapter.rank', differences: /: r 16 → 4$/ },
  'no peft_type': {
    change: setting({ peft_type: undefined }),
    code: 'adapter.peft-type',
    differences: /^peft_type: null → "LORA"$/,
  },
  'peft_type in small letters': {
    change: setting({ peft_type: 'lora' }),
    code: 'adapter.peft-type',
    differences: /"lora" → "LORA"$/,
  },
  'numbers as texts': {
    change: setting({ r: '4', lora_alpha: '8', use_rslora: 'False' }),
    code: 'adapter.config',
    differences: /^lora_alpha: "8" → 8/,
  },
  'targets of another adapter': {
    change: setting({ target_modules: ['q_proj'] }),
    code: 'adapter.targets',
    differences: /^\+ model\.layers\.0\.mlp/,
  },
  'no targets': {
    change: setting({ target_modules: null }),
    code: 'adapter.targets',
    differences: /^\+ model\.layers\.0\.mlp/,
  },
  'more targets than tensors': {
    change: (parts) =>
      setting({ target_modules: [...(parts.config['target_modules'] as string[]), 'lm_head'] })(parts),
    code: 'adapter.targets',
    differences: /^− lm_head$/,
    onBase: true,
  },
  'a key that is off (★15)': {
    change: setting({ use_magic: false }),
    code: 'adapter.unknown-key',
    differences: /^use_magic: false → –$/,
  },
  'fan_in_fan_out of another model': {
    change: setting({ fan_in_fan_out: true }),
    code: 'adapter.fan-in-fan-out',
    differences: /true → false$/,
    onBase: true,
  },
  'a task that the base is not made for (★16)': {
    change: setting({ task_type: 'SEQ_2_SEQ_LM' }),
    code: 'adapter.task-type',
    differences: /"SEQ_2_SEQ_LM" → "CAUSAL_LM"$/,
    onBase: true,
  },
};

describe('a fault that a repair mends', () => {
  for (const [name, { change, code, differences, onBase }] of Object.entries(MENDED)) {
    test(name, async () => {
      const broken = await changed(change);
      const before = await readFile(path.join(broken, 'adapter_config.json'), 'utf8');
      for (const context of onBase === true ? [base.context] : [base.context, undefined]) {
        const found = await findFaults(broken, context);
        assert.deepEqual(codes(found), [code]);
        assert.match(found.faults[0]!.differences[0]!, differences);
        const out = path.join(folder, `${String(++count)}-repaired`);
        await writeRepaired(out, found, context);
        const again = await findFaults(out, base.context);
        assert.deepEqual(codes(again), []);
        const attached = await attachAdapter(await readAdapter(out), base.context);
        assert.deepEqual(attached.warnings, []);
        assert.deepEqual(attached.values, sound.values);
        assert.deepEqual(attached.method.report?.(attached.values), sound.method.report?.(sound.values));
      }
      // Never in place.
      assert.equal(await readFile(path.join(broken, 'adapter_config.json'), 'utf8'), before);
    });
  }

  test('several at once', async () => {
    const broken = await changed((parts) => {
      setting({ peft_type: undefined, rank_pattern: {}, target_modules: ['q_proj'], use_magic: false })(parts);
      renaming((name) => name.replace('base_model.model.model.', '').replace('.weight', '.default.weight'))(parts);
    });
    const found = await findFaults(broken, base.context);
    assert.deepEqual(codes(found), [
      'adapter.peft-type',
      'adapter.unknown-key',
      'adapter.keys',
      'adapter.rank',
      'adapter.targets',
    ]);
    const out = path.join(folder, 'several');
    await writeRepaired(out, found, base.context);
    const { values } = await attachAdapter(await readAdapter(out), base.context);
    assert.deepEqual(values, sound.values);
  });

  test('weights that trained whole and are not named (★40)', async () => {
    const head = {
      name: 'base_model.model.lm_head.weight',
      shape: [128, 32],
      data: new Float32Array(4096).fill(0.5),
    };
    const broken = await changed(({ tensors }) => tensors.push(head));
    const found = await findFaults(broken, base.context);
    assert.deepEqual(codes(found), ['adapter.modules-to-save']);
    const out = path.join(folder, 'head');
    await writeRepaired(out, found, base.context);
    assert.deepEqual((await readJson(`${out}/adapter_config.json`))['modules_to_save'], ['lm_head']);
    const { values } = await attachAdapter(await readAdapter(out), base.context);
    assert.deepEqual(values.get('lm_head.weight'), head.data);
  });

  test('a head as an old PEFT named it, beside what it wraps', async () => {
    const data = new Float32Array(4096).fill(0.5);
    const broken = await changed((parts) => {
      setting({ modules_to_save: ['lm_head'] })(parts);
      parts.tensors.push({ name: 'base_model.model.lm_head.modules_to_save.weight', shape: [128, 32], data });
    });
    const found = await findFaults(broken, base.context);
    assert.deepEqual(codes(found), ['adapter.keys']);
    assert.deepEqual(found.faults[0]!.differences, [
      'base_model.model.lm_head.modules_to_save.weight → base_model.model.lm_head.weight',
    ]);
    const out = path.join(folder, 'old-head');
    await writeRepaired(out, found, base.context);
    const { values } = await attachAdapter(await readAdapter(out), base.context);
    assert.deepEqual(values.get('lm_head.weight'), data);
  });

  test('DoRA that does not say so', async () => {
    const parts = {
      config: await readJson(fixture('dora/linears/final/adapter_config.json')),
      weights: await readFile(fixture('dora/linears/final/adapter_model.safetensors')),
    };
    const broken = await changed(setting({ ...parts.config, use_dora: false }));
    await writeFile(path.join(broken, 'adapter_model.safetensors'), parts.weights);
    const found = await findFaults(broken);
    assert.deepEqual(codes(found), ['adapter.magnitude']);
    assert.equal(found.adapter.config['use_dora'], true);
  });

  test('numbers of 64 bits, or of several types, become float32; a 16-bit adapter stays one', async () => {
    for (const [dtypes, wanted] of [
      [['F64', 'F64'], ['F32']],
      [['F16', 'F32'], ['F32']],
      [['F16', 'F16'], undefined],
    ] as const) {
      const broken = await changed(() => undefined);
      const { tensors } = await adapterParts('peft-adapter');
      await writeTyped(path.join(broken, 'adapter_model.safetensors'), tensors, dtypes);
      const found = await findFaults(broken, base.context);
      assert.deepEqual(codes(found), wanted === undefined ? [] : ['adapter.dtype']);
      if (wanted === undefined) continue;
      assert.ok(!isError(found.faults[0]!.problem));
      const out = path.join(folder, `${String(++count)}-typed`);
      await writeRepaired(out, found, base.context);
      const types = new Set([...(await readAdapter(out)).tensors.values()].map(({ dtype }) => dtype));
      assert.deepEqual([...types], wanted);
    }
  });
});

/** Faults for which any repair would be a guess. */
const OPEN: Readonly<Record<string, { change: Change; told: readonly (readonly [string, RegExp])[] }>> = {
  'an option that changes the maths (★15)': {
    change: setting({ use_qalora: true }),
    told: [['adapter.config', /use_qalora/]],
  },
  'trainable tokens (★15)': {
    change: setting({ trainable_token_indices: [3, 4] }),
    told: [['adapter.config', /trainable_token_indices/]],
  },
  'lora_bias (★15)': { change: setting({ lora_bias: true }), told: [['adapter.config', /lora_bias/]] },
  'an arrow of adapters (★15)': {
    change: setting({ arrow_config: { top_k: 2 } }),
    told: [['adapter.config', /arrow_config/]],
  },
  'PiSSA, not converted (★44)': {
    change: setting({ init_lora_weights: 'pissa' }),
    told: [['adapter.config', /pissa/]],
  },
  'B that is missing': {
    change: (parts) => {
      parts.tensors = parts.tensors.filter(({ name }) => !name.includes('layers.1.mlp.up_proj.lora_B'));
    },
    told: [['adapter.missing-pair', /layers\.1\.mlp\.up_proj has A without B/]],
  },
  'a module that one layer lacks': {
    change: (parts) => {
      parts.tensors = parts.tensors.filter(({ name }) => !name.includes('layers.1.mlp.up_proj'));
    },
    told: [['adapter.targets', /does not have modules that the config names: model\.layers\.1\.mlp\.up_proj/]],
  },
  'a slip in one name': {
    change: renaming((name) => name.replace('layers.1.self_attn.q_proj', 'layers.1.self_attn.q_porj')),
    told: [
      ['adapter.targets', /model\.layers\.1\.self_attn\.q_proj/],
      ['adapter.unmatched', /q_porj/],
    ],
  },
  'another base, by its sizes': {
    change: (parts) => {
      parts.tensors = parts.tensors.map(({ name, shape, data }) =>
        name.includes('q_proj.lora_A')
          ? { name, shape: [shape[0]!, 24], data: data.subarray(0, shape[0]! * 24) }
          : { name, shape, data },
      );
    },
    told: [['adapter.unmatched', /\[32, 24\], and the base has \[32, 32\]/]],
  },
  'a vocabulary of another size (★38)': {
    change: (parts) => {
      parts.config = { ...parts.config, modules_to_save: ['lm_head'] };
      parts.tensors.push({
        name: 'base_model.model.lm_head.weight',
        shape: [129, 32],
        data: new Float32Array(4128),
      });
    },
    told: [['adapter.vocabulary', /vocabulary of 129, the base model's is 128/]],
  },
  'two adapters in one file': {
    change: (parts) => {
      const other = parts.tensors.map((each) => ({
        ...each,
        name: each.name.replace('.weight', '.other.weight'),
      }));
      parts.tensors.push(...other);
    },
    told: [
      ['adapter.keys', /several adapters: other/],
      ['adapter.unknown-tensors', /28 tensors/],
    ],
  },
  NaN: {
    change: ({ tensors }) => {
      tensors[0]!.data[3] = NaN;
    },
    told: [['adapter.non-finite', /NaN at position 3/]],
  },
};

describe('a fault that no repair mends', () => {
  for (const [name, { change, told }] of Object.entries(OPEN)) {
    test(`${name}: is named, and nothing is written`, async () => {
      const broken = await changed(change);
      const found = await findFaults(broken, base.context);
      const open = unmended(found);
      assert.deepEqual(
        open.map(({ code }) => code),
        told.map(([code]) => code),
      );
      for (const [at, [, text]] of told.entries()) assert.match(open[at]!.message, text);
      const out = path.join(folder, 'not-written');
      await assert.rejects(writeRepaired(out, found, base.context), problem('adapter.not-repaired', told[0]![1]));
      assert.deepEqual(
        (await names(folder)).filter((each) => each.startsWith('not-written')),
        [],
      );
    });
  }

  test('the nearest name stands in the difference', async () => {
    const broken = await changed(
      renaming((name) => name.replace('layers.1.self_attn.q_proj', 'layers.1.self_attn.q_porj')),
    );
    const { faults } = await findFaults(broken, base.context);
    const unmatched = faults.find((fault) => fault.problem.code === 'adapter.unmatched')!;
    assert.deepEqual(unmatched.differences, [
      'model.layers.1.self_attn.q_porj → model.layers.1.self_attn.q_proj?',
    ]);
  });

  test('integers are refused by name', async () => {
    const broken = await changed(() => undefined);
    const { tensors } = await adapterParts('peft-adapter');
    await writeTyped(path.join(broken, 'adapter_model.safetensors'), tensors, ['I8', 'F32']);
    await assert.rejects(
      findFaults(broken),
      problem('adapter.dtype', 'lora_A.weight has type I8', /export the adapter again/),
    );
  });
});

describe('what can be repaired is told where it is met', () => {
  test('by reading, attaching and inspecting, with the command', async () => {
    const untyped = await changed(setting({ peft_type: undefined }));
    await assert.rejects(
      readAdapter(untyped),
      problem('adapter.peft-type', `peft-studio repair ${untyped} --out DIR`),
    );
    const bare = await changed(renaming((name) => name.replace('model.model.model.', 'model.model.')));
    await assert.rejects(
      attachAdapter(await readAdapter(bare), base.context),
      problem('adapter.keys', `peft-studio repair ${bare} --out DIR`),
    );
    const ranks = await changed(setting({ rank_pattern: {} }));
    await assert.rejects(
      attachAdapter(await readAdapter(ranks), base.context),
      problem('adapter.shape', `peft-studio repair ${ranks} --out DIR`),
    );
    const { problems } = await inspectAdapter(ranks);
    assert.deepEqual(
      problems.map(({ code, mend }) => [code, mend?.includes('peft-studio repair')]),
      [['adapter.rank', true]],
    );
  });

  test('but not where that would be a guess, or where nothing is wrong', async () => {
    const broken = await changed((parts) => {
      parts.tensors = parts.tensors.filter(({ name }) => !name.includes('layers.1.mlp.up_proj.lora_B'));
    });
    await assert.rejects(attachAdapter(await readAdapter(broken), base.context), (error: Error) => {
      assert.doesNotMatch(error.message, /peft-studio repair/);
      return true;
    });
  });

  test('a base that the config does not name is written into it where it is named', async () => {
    const broken = await changed(setting({ base_model_name_or_path: null }));
    const found = await findFaults(broken, base.context, 'org/tiny');
    assert.deepEqual(codes(found), ['adapter.base-unnamed']);
    const out = path.join(folder, 'named');
    await writeRepaired(out, found, base.context);
    assert.equal((await readJson(`${out}/adapter_config.json`))['base_model_name_or_path'], 'org/tiny');
  });
});

/** Tensors of these types in turn; integers are zeros. */
async function writeTyped(
  file: string,
  tensors: readonly NamedTensor[],
  dtypes: readonly string[],
): Promise<void> {
  const header: Record<string, JsonObject> = {};
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [at, { name, shape, data }] of tensors.entries()) {
    const dtype = dtypes[at % dtypes.length]!;
    const bytes =
      dtype === 'F64'
        ? new Uint8Array(Float64Array.from(data).buffer)
        : dtype === 'I8'
          ? new Uint8Array(data.length)
          : floatBytes(data, dtype === 'F16' ? 'F16' : 'F32');
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    parts.push(bytes);
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  await writeFile(file, Buffer.concat([length, text, ...parts]));
}
