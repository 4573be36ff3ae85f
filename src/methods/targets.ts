import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';

/** Which modules a method takes hold of, under HF PEFT's names and with its meaning (`LoraConfig`). */
export const TargetOptions = {
  target_modules: Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 })], {
    default: 'all-linear',
    description:
      'The modules to adapt. A list matches names and path endings (`q_proj` matches `model.layers.0.self_attn.q_proj`); ' +
      'a string is a regular expression that must match the whole path; `all-linear` takes every linear layer except the output layer.',
  }),
  exclude_modules: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.String())], {
      description: 'Modules to leave out, matched by the same rules as `target_modules`.',
    }),
  ),
  layers_to_transform: Type.Optional(
    Type.Union([Type.Integer({ minimum: 0 }), Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 })], {
      description: 'Only these layer numbers (from 0). Modules without a layer number are then left out.',
    }),
  ),
  layers_pattern: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.String())], {
      description: 'The name of the list of layers in the module path, when it is not a common one (`layers`, `h`, `block`).',
    }),
  ),
};

const targetSchema = Type.Object(TargetOptions);
export type TargetOptions = Static<typeof targetSchema>;
