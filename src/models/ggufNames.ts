import { GGUF_ARCHITECTURES } from './ggufArchitectures.js';

/** What llama.cpp calls the parts of a model of one type. */
export interface GgufNames {
  /** `general.architecture` */
  readonly architecture: string;
  /** Rows of q and k are stored as the pairs that are turned together. */
  readonly pairedRows: boolean;
  /** `blk.3.attn_q` for `model.layers.3.self_attn.q_proj`; undefined for what its adapters cannot be about. */
  readonly moduleName: (path: string) => string | undefined;
}

/** Types of models that it has adapters for. */
export const GGUF_MODEL_TYPES: readonly string[] = [
  'mistral',
  'gpt2',
  ...[...GGUF_ARCHITECTURES.values()].map(({ modelType }) => modelType),
];

/** By `model_type` of a `config.json`; undefined for what llama.cpp, or PEFT Studio of it, does not know. */
export function ggufNames(modelType: string): GgufNames | undefined {
  if (modelType === 'gpt2') return GPT2;
  // llama.cpp runs Mistral's first models as Llamas.
  const type = modelType === 'mistral' ? 'llama' : modelType;
  const [architecture, form] = [...GGUF_ARCHITECTURES].find(([, each]) => each.modelType === type) ?? [];
  if (architecture === undefined || form === undefined) return undefined;
  const inLayer = new Map([...form.layerNames].map(([name, module]) => [module, name]));
  return {
    architecture,
    pairedRows: form.pairedRows,
    moduleName: namer(/^model\.layers\.(\d+)\.(.+)$/, inLayer, {
      'model.embed_tokens': 'token_embd',
      lm_head: 'output',
    }),
  };
}

/** Not `wpe`: llama.cpp looks positions up in the base's table whatever an adapter says. */
const GPT2: GgufNames = {
  architecture: 'gpt2',
  pairedRows: false,
  moduleName: namer(
    /^transformer\.h\.(\d+)\.(.+)$/,
    new Map([
      ['attn.c_attn', 'attn_qkv'],
      ['attn.c_proj', 'attn_output'],
      ['mlp.c_fc', 'ffn_up'],
      ['mlp.c_proj', 'ffn_down'],
    ]),
    { 'transformer.wte': 'token_embd', lm_head: 'output' },
  ),
};

function namer(
  layer: RegExp,
  inLayer: ReadonlyMap<string, string>,
  beside: Readonly<Record<string, string>>,
): GgufNames['moduleName'] {
  return (path) => {
    const [, number, module] = layer.exec(path) ?? [];
    if (module === undefined) return beside[path];
    const name = inLayer.get(module);
    return name === undefined ? undefined : `blk.${number}.${name}`;
  };
}
