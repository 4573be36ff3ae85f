import { writeFile } from 'node:fs/promises';
import { random } from '../../src/common/random.js';
import { ggufTypeNamed } from '../../src/models/ggufTypes.js';
import { ggufFile, join, value } from '../unit/models/ggufFile.js';

/** Of a Llama to be made. */
export interface GgufModelForm {
  readonly hidden?: number;
  readonly inner?: number;
  readonly layers?: number;
  readonly vocabulary?: number;
  /** GGML's name of the type of matrices. */
  readonly type: string;
  readonly headType?: string;
  /** Whether the output layer has a matrix of its own. */
  readonly ownHead?: boolean;
  /** The number in `general.file_type`; undefined: no such key. */
  readonly fileType?: number;
}

/** Writes a GGUF file of a Llama with random weights, and tokens that nothing is split into. */
export async function ggufModel(file: string, form: GgufModelForm): Promise<string> {
  const { hidden = 64, inner = 96, layers = 2, vocabulary = 96, type, headType = type } = form;
  const [heads, keyValueHeads] = [4, 2];
  const keys = (hidden / heads) * keyValueHeads;
  const shapes: [string, number[]][] = [
    ['token_embd', [vocabulary, hidden]],
    ...(form.ownHead === true ? [['output', [vocabulary, hidden]] satisfies [string, number[]]] : []),
    ...Array.from({ length: layers }, (_, layer): [string, number[]][] =>
      (
        [
          ['attn_norm', [hidden]],
          ['attn_q', [hidden, hidden]],
          ['attn_k', [keys, hidden]],
          ['attn_v', [keys, hidden]],
          ['attn_output', [hidden, hidden]],
          ['ffn_norm', [hidden]],
          ['ffn_gate', [inner, hidden]],
          ['ffn_up', [inner, hidden]],
          ['ffn_down', [hidden, inner]],
        ] satisfies [string, number[]][]
      ).map(([name, shape]) => [`blk.${layer}.${name}`, shape]),
    ).flat(),
    ['output_norm', [hidden]],
  ];
  let offset = 0;
  const parts = shapes.map(([name, shape]) => {
    const rng = random(7, name);
    const isNorm = shape.length === 1;
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () =>
      isNorm ? 1 + rng.normal() / 10 : (2 * rng.normal()) / Math.sqrt(shape[1]!),
    );
    const own = ggufTypeNamed(isNorm ? 'F32' : /^(token_embd|output)$/.test(name) ? headType : type)!;
    const bytes = own.quantize(values);
    const padded = join(bytes, new Uint8Array((32 - (bytes.length % 32)) % 32));
    const place = { name: `${name}.weight`, dims: [...shape].reverse(), type: own.id, offset };
    offset += padded.length;
    return { place, padded };
  });
  const bytes = ggufFile({
    metadata: {
      'general.architecture': value.text('llama'),
      'general.name': value.text('Größe 尺寸'),
      'general.languages': value.texts(['en', 'zh']),
      'llama.block_count': value.u32(layers),
      'llama.context_length': value.u32(128),
      'llama.embedding_length': value.u32(hidden),
      'llama.feed_forward_length': value.u32(inner),
      'llama.attention.head_count': value.u32(heads),
      'llama.attention.head_count_kv': value.u32(keyValueHeads),
      'llama.rope.dimension_count': value.u32(hidden / heads),
      'llama.rope.freq_base': value.f32(10000),
      'llama.attention.layer_norm_rms_epsilon': value.f32(1e-5),
      ...(form.fileType === undefined ? {} : { 'general.file_type': value.u32(form.fileType) }),
      'tokenizer.ggml.model': value.text('gpt2'),
      'tokenizer.ggml.pre': value.text('gpt-2'),
      'tokenizer.ggml.tokens': value.texts(Array.from({ length: vocabulary }, (_, id) => `t${id}`)),
      'tokenizer.ggml.merges': value.texts(['t 1']),
      'tokenizer.ggml.eos_token_id': value.u32(1),
    },
    tensors: parts.map(({ place }) => place),
    data: join(...parts.map(({ padded }) => padded)),
  });
  await writeFile(file, bytes);
  return file;
}
