import { Value } from '@sinclair/typebox/value';
import { attachAdapter } from '../../src/adapters/attachAdapter.js';
import { inspectAdapter } from '../../src/adapters/inspect.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import type { Random } from '../../src/common/random.js';
import { AdaLoraOptions } from '../../src/methods/adalora.js';
import { AdapterOptions } from '../../src/methods/bottleneckAdapter.js';
import { FishMaskOptions } from '../../src/methods/fishMask.js';
import { LokrOptions } from '../../src/methods/lokr.js';
import type { LoraOptions } from '../../src/methods/lora.js';
import { LotrOptions } from '../../src/methods/lotr.js';
import { MeloraOptions } from '../../src/methods/melora.js';
import type { Attached, Prepared } from '../../src/methods/method.js';
import { MoraOptions } from '../../src/methods/mora.js';
import { PromptTuningOptions } from '../../src/methods/promptTuning.js';
import { attachMethod } from '../../src/methods/registry.js';
import { SltrainOptions } from '../../src/methods/sltrain.js';
import type { SublayerPlace } from '../../src/models/site.js';
import { attachLora, fakeContext, randomValues, smallSites } from '../unit/methods/fakeModel.js';
import { sameBits } from './checkTensors.js';
import { checkProblems, writeInput } from './fuzz.js';
import { mutateJsonBytes } from './json.js';
import { floatFile, mutateTensorFile } from './safetensors.js';
import { broken, changeOneFile, oneIn, pick, withoutOneFile } from './target.js';
import type { FuzzInput, FuzzTarget } from './target.js';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const LIBRARY_WEIGHTS = 'adapter.safetensors';

/** Two layers of linears, with the places where bottleneck adapters stand. */
function modelContext(): ReturnType<typeof fakeContext> {
  const context = fakeContext(smallSites());
  const sublayers = [0, 1].flatMap((layer): SublayerPlace[] => [
    { kind: 'attention', layer, path: `layers.${layer}.attention` },
    { kind: 'feed-forward', layer, path: `layers.${layer}.output` },
  ]);
  return { ...context, model: { ...context.model, sublayers } };
}

const weightsOf = (input: FuzzInput): Uint8Array | undefined => input.get(WEIGHTS) ?? input.get(LIBRARY_WEIGHTS);

/** What PEFT writes beside the options that there are here. */
const SILENT = {
  peft_version: '0.17.0',
  task_type: 'CAUSAL_LM',
  base_model_name_or_path: 'org/base',
  alora_invocation_tokens: null,
  arrow_config: null,
  layer_replication: null,
  megatron_config: null,
  loftq_config: {},
  lora_bias: false,
  qalora_group_size: 16,
  trainable_token_indices: null,
  use_dora: false,
};

const LORA: readonly Partial<LoraOptions>[] = [
  { r: 2, target_modules: ['q_proj', 'v_proj'] },
  {
    r: 3,
    use_rslora: true,
    target_modules: String.raw`.*\.layers\.\d+\.(q|v)_proj`,
    rank_pattern: { q_proj: 2, [String.raw`1\.v_proj`]: 1 },
    alpha_pattern: { '^model.layers.0.q_proj': 4 },
  },
  { r: 1, target_modules: 'all-linear', bias: 'all', modules_to_save: ['lm_head'], exclude_modules: ['v_proj'] },
  { r: 2, target_modules: ['embed_tokens', 'q_proj'], layers_to_transform: [0], layers_pattern: 'layers' },
];

/** Forms of the `adapters` library: one bottleneck a layer, two, and beside what they stand at. */
const BOTTLENECKS = [
  { bottleneck_size: 2 },
  { placement: 'houlsby', bottleneck_size: 3, train_layer_norms: false, non_linearity: 'gelu' },
  { placement: 'parallel', bottleneck_size: 2, scaling: 'channel', leave_out: [1] },
  { reduction_factor: { 0: 4, default: 8 }, scaling: 'learned' },
];

/** What the library writes beside an adapter's form. */
const LIBRARY_SILENT = { version: '1.2.0', name: 'a' };

/** Places of numbers in two weights, as `prepare` finds them. */
const PLACES: Prepared = new Map([
  ['model.layers.0.q_proj.weight.indices', Int32Array.of(0, 7, 8, 47)],
  ['model.layers.1.v_proj.weight.indices', Int32Array.of(31)],
]);

/** The methods whose adapters are changed, each with what PEFT writes beside its own keys. */
function methods(): readonly (readonly [method: Attached, silent: object])[] {
  const context = modelContext();
  const adalora = Value.Parse(AdaLoraOptions, {
    type: 'adalora',
    init_r: 3,
    target_r: 1,
    target_modules: ['q_proj'],
  });
  const fish = Value.Parse(FishMaskOptions, { type: 'fish_mask', target_modules: ['q_proj', 'v_proj'] });
  const lokr = Value.Parse(LokrOptions, {
    type: 'lokr',
    r: 1,
    decompose_factor: 2,
    target_modules: ['q_proj', 'v_proj'],
  });
  const lotr = Value.Parse(LotrOptions, { type: 'lotr', r: 2, target_modules: ['q_proj', 'v_proj'] });
  const melora = Value.Parse(MeloraOptions, { type: 'melora', r: 2, target_modules: ['q_proj', 'v_proj'] });
  const mora = Value.Parse(MoraOptions, { type: 'mora', r: 1, target_modules: ['q_proj', 'v_proj'] });
  const sltrain = Value.Parse(SltrainOptions, {
    type: 'sltrain',
    r: 2,
    sp_ratio: 0.1,
    target_modules: ['q_proj', 'v_proj'],
  });
  const prompt = Value.Parse(PromptTuningOptions, { type: 'prompt_tuning', num_virtual_tokens: 3 });
  return [
    ...LORA.map((options) => [attachLora(options), SILENT] as const),
    [attachMethod(adalora, context), {}],
    [attachMethod(lokr, context), { use_effective_conv2d: false }],
    [attachMethod(lotr, context), {}],
    [attachMethod(melora, context), { mode: 'melora' }],
    [attachMethod(mora, context), { lora_alpha: 8 }],
    [attachMethod(sltrain, { ...context, prepared: PLACES }), {}],
    [attachMethod(fish, { ...context, prepared: PLACES }), {}],
    [attachMethod(prompt, context), {}],
    ...BOTTLENECKS.map((options) => {
      const bottleneck = Value.Parse(AdapterOptions, { type: 'adapter', ...options });
      return [attachMethod(bottleneck, context), LIBRARY_SILENT] as const;
    }),
  ];
}

const WORDS = {
  keys: [
    ...[
      'alpha',
      'decompose_factor',
      'decompose_both',
      'scale',
      'share',
      'shared_by',
      'middle',
      'lokr_w2_a',
      'lotr_L',
      'use_mora',
      'mora_type',
      'sp_ratio',
      'lora_B',
    ],
    ...['r', 'lora_alpha', 'lora_dropout', 'bias', 'target_modules', 'exclude_modules', 'layers_to_transform'],
    ...['layers_pattern', 'rank_pattern', 'alpha_pattern', 'modules_to_save', 'use_rslora', 'init_lora_weights'],
    ...[
      'peft_type',
      'type',
      'fan_in_fan_out',
      'q_proj',
      'v_proj',
      '(',
      '(.*)*x',
      'lora_A',
      ...Object.keys(SILENT),
    ],
    ...['config', 'architecture', 'reduction_factor', 'mh_adapter', 'output_adapter', 'leave_out', 'scaling'],
    ...['non_linearity', 'is_parallel', 'original_ln_before', 'residual_before_ln', 'cross_adapter', 'default'],
  ],
  values: [
    ...[
      '1e9',
      '4096',
      '4097',
      '0',
      '2',
      '"2"',
      '2.0',
      '[2]',
      '"LORA"',
      '"lora"',
      '"IA3"',
      '"ADALORA"',
      '"FISH_MASK"',
      '"MELORA"',
      '"SLTRAIN"',
      '"PROMPT_TUNING"',
      '"I32"',
      '"all"',
      '"lora_only"',
    ],
    ...[
      '"all-linear"',
      '["all-linear"]',
      '["q_proj"]',
      '["q_proj",1]',
      '"q_proj|("',
      '"(.*)*x"',
      '"(.+.+)+!"',
      '".*"',
      '""',
      '[""]',
    ],
    ...[
      '["lm_head","embed_tokens"]',
      '["layers"]',
      '[0,1,2]',
      '[-1]',
      '0',
      '"layers"',
      '"(?<layer>a)"',
      '["h","("]',
    ],
    ...[
      '{"q_proj":1e9}',
      '{"(":2}',
      '{"(.*)*x":2}',
      '{"q_proj":0}',
      '{"__proto__":2}',
      '{"":1}',
      '"pissa"',
      '"olora"',
      '"gaussian"',
    ],
    ...['"learned"', '"channel"', '{"0":4}', '{"default":0}', '{"1":1e-9,"default":8}', '"gelu_new"', '"swish"'],
    ...['[1,2,3]', '{"use":true}', '"<|invoke|>"', 'true', manyPatterns('x'), manyPatterns('[a-z]+.x')],
  ],
};

/** A pattern for each of very many modules. */
function manyPatterns(key: string): string {
  return JSON.stringify(Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`${key}${i}`, 1])));
}

/** Adapter folders as Hugging Face PEFT and the `adapters` library write them. */
export const adapter: FuzzTarget = {
  name: 'adapter',
  seeds: () =>
    Promise.resolve(
      methods().map(([method, silent]): FuzzInput => {
        const saved = method.save(randomValues(method));
        if (saved.kind !== 'adapter') throw new Error(`${method.type} saves no adapter`);
        const lines = saved.tensors.map(({ name, shape }) => [name, 'F32', shape] as const);
        const places = (saved.indices ?? []).map(({ name, data }) => [name, 'I32', [data.length]] as const);
        return new Map([
          [CONFIG, Buffer.from(JSON.stringify({ ...silent, ...saved.config }))],
          [saved.library === 'adapters' ? LIBRARY_WEIGHTS : WEIGHTS, floatFile([...lines, ...places])],
        ]);
      }),
    ),
  mutate(input, rng, others) {
    if (oneIn(rng, 50)) return withoutOneFile(input, rng);
    if (oneIn(rng, 300)) return new Map([...input, [WEIGHTS, hugeRank(rng)]]);
    return changeOneFile(input, rng, (bytes, name) =>
      name === CONFIG
        ? mutateJsonBytes(bytes, rng, WORDS)
        : mutateTensorFile(bytes, rng, weightsOf(pick(rng, others))),
    );
  },
  async run(input, sandbox) {
    writeInput(sandbox, input);
    const inspection = await inspectAdapter(sandbox.folder);
    checkProblems(inspection.problems, sandbox);
    const opened = await readAdapter(sandbox.folder);
    const { method, values, warnings } = await attachAdapter(opened, modelContext());
    checkProblems(warnings, sandbox);
    const saved = method.save(values);
    if (saved.kind !== 'adapter') return broken('an adapter became a model');
    for (const { name, shape, data } of saved.tensors) {
      const length = shape.reduce((a, b) => a * b, 1);
      if (data.length !== length) broken(`${name} of [${shape.join()}] has ${data.length} numbers`);
      // AdaLoRA leaves out what λ = 0 makes nothing.
      const kept = method.type === 'adalora' || sameBits(data, await opened.read(name));
      if (!kept) broken(`${name} changed by loading and saving`);
    }
    for (const { name, data } of saved.indices ?? []) {
      const places = await opened.readIndices(name);
      if (data.length !== places.length || data.some((place, at) => place !== places[at]))
        broken(`${name} changed by loading and saving`);
    }
  },
};

/** Small files whose rank is out of all proportion: what takes the square of the rank never ends. */
function hugeRank(rng: Random): Uint8Array {
  const rank = pick(rng, [4097, 50_000]);
  const module = 'base_model.model.model.layers.0.q_proj';
  return floatFile([
    [`${module}.lora_A.weight`, 'F32', [rank, 1]],
    [`${module}.lora_B.weight`, 'F32', [1, rank]],
  ]);
}
