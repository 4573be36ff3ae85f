import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import { TargetOptions } from './targets.js';

/** LoRA's options, under the names and with the meaning of HF PEFT's `LoraConfig`. */
export const LoraOptions = Type.Object(
  {
    type: Type.Literal('lora'),
    r: Type.Integer({ minimum: 1, maximum: 4096, default: 8, description: 'Rank of the update B·A.' }),
    lora_alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 8,
      description: 'Scale of the update: ΔW = lora_alpha / r · B·A (lora_alpha / √r with `use_rslora`).',
    }),
    lora_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the inputs of A that is dropped while training.',
    }),
    bias: Type.Union([Type.Literal('none'), Type.Literal('all'), Type.Literal('lora_only')], {
      default: 'none',
      description: 'Which bias vectors train: `none`, `all` of the model, or `lora_only` those of adapted modules.',
    }),
    ...TargetOptions,
    rank_pattern: Type.Record(Type.String(), Type.Integer({ minimum: 1 }), {
      default: {},
      description: 'Ranks that differ from `r`: from a module name or regular expression to a rank.',
    }),
    alpha_pattern: Type.Record(Type.String(), Type.Number({ exclusiveMinimum: 0 }), {
      default: {},
      description: 'Alphas that differ from `lora_alpha`: from a module name or regular expression to an alpha.',
    }),
    modules_to_save: Type.Optional(
      Type.Array(Type.String(), {
        description: 'Modules trained in full and saved with the adapter, such as `lm_head` or `embed_tokens`.',
      }),
    ),
    use_rslora: Type.Boolean({
      default: false,
      description: 'Scale by lora_alpha / √r (rank-stabilized LoRA, Kalajdzievski 2023).',
    }),
    init_lora_weights: Type.Union([Type.Boolean(), Type.Literal('gaussian')], {
      default: true,
      description:
        'How A and B start. `true`: A Kaiming uniform, B zero; `gaussian`: A normal with deviation 1/r, B zero; `false`: both Kaiming uniform, so that the start is not the base model.',
    }),
  },
  { additionalProperties: false },
);
export type LoraOptions = Static<typeof LoraOptions>;
