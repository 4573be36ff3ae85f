import { Type } from '@sinclair/typebox';

/** The optimizer and its options; a part of `training`. */
export const OPTIMIZER_OPTIONS = {
  optim: Type.Union(
    [
      Type.Literal('adamw', { description: 'Adam with decoupled weight decay (Loshchilov & Hutter 2019).' }),
      Type.Literal('sgd', {
        description: 'Gradient descent, with `momentum` if set. Wants a far higher learning rate than AdamW.',
      }),
      Type.Literal('adafactor', {
        description:
          'Of a matrix it keeps second moments by rows and columns only: a fraction of the memory (Shazeer & Stern 2018).',
      }),
    ],
    {
      default: 'adamw',
      description:
        'The optimizer. `adamw`: Adam with decoupled weight decay (Loshchilov & Hutter 2019). `sgd`: gradient descent, with `momentum` if set. `adafactor`: keeps second moments of rows and columns only, a fraction of the memory (Shazeer & Stern 2018).',
    },
  ),
  weight_decay: Type.Number({
    minimum: 0,
    default: 0,
    description:
      'Each step shrinks the trained weights by learning rate × this, apart from the gradient (`adamw`, `adafactor`). `sgd` adds this × weight to the gradient instead, as PyTorch does, so that momentum carries it on.',
  }),
  adam_beta1: Type.Number({
    minimum: 0,
    exclusiveMaximum: 1,
    default: 0.9,
    description: "How slowly AdamW's mean of the gradients changes.",
  }),
  adam_beta2: Type.Number({
    minimum: 0,
    exclusiveMaximum: 1,
    default: 0.999,
    description: "How slowly AdamW's mean of the squared gradients changes.",
  }),
  adam_epsilon: Type.Number({
    exclusiveMinimum: 0,
    default: 1e-8,
    description: "Added to AdamW's denominator, against division by zero.",
  }),
  momentum: Type.Number({
    minimum: 0,
    exclusiveMaximum: 1,
    default: 0,
    description: 'Share of its last direction that `sgd` keeps (usual: 0.9). 0 keeps none, and needs no memory.',
  }),
  nesterov: Type.Boolean({
    default: false,
    description: "Nesterov's momentum for `sgd`: the gradient as if the next step along the momentum were taken.",
  }),
  adafactor_scale_parameter: Type.Boolean({
    default: false,
    description: "Multiply Adafactor's learning rate by the root mean square of each tensor's own numbers.",
  }),
  adafactor_relative_step: Type.Boolean({
    default: false,
    description:
      "Use Adafactor's own learning rate min(0.01, 1/√step), instead of `learning_rate` and its schedule. Usual together with `adafactor_scale_parameter`.",
  }),
  adafactor_warmup_init: Type.Boolean({
    default: false,
    description: 'Let the rate of `adafactor_relative_step` rise from 0: min(step/10⁶, 1/√step).',
  }),
  adafactor_clip_threshold: Type.Number({
    exclusiveMinimum: 0,
    default: 1,
    description:
      'Adafactor scales the update of a tensor down to this root mean square, before the learning rate.',
  }),
  adafactor_decay_rate: Type.Number({
    minimum: -1,
    exclusiveMaximum: 0,
    default: -0.8,
    description: "How Adafactor's second moments slow down: what is new counts step^(this).",
  }),
  adafactor_beta1: Type.Optional(
    Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      description: "How slowly Adafactor's mean of the updates changes; without it none is kept, to save memory.",
    }),
  ),
  adafactor_epsilon1: Type.Number({
    // The least that float32 keeps at full precision is 1.2e-38; a 0 there would be divided by.
    minimum: 1e-37,
    default: 1e-30,
    description: 'Added to the squared gradient by Adafactor, against division by zero.',
  }),
  adafactor_epsilon2: Type.Number({
    minimum: 0,
    default: 1e-3,
    description: 'The smallest root mean square that `adafactor_scale_parameter` takes a tensor to have.',
  }),
  sam_rho: Type.Number({
    minimum: 0,
    default: 0,
    description:
      'Sharpness-aware minimization (Foret et al. 2021): take the gradient at the worst point within this distance (usual: 0.05). Costs a second forward and backward pass per step. 0 switches it off.',
  }),
  sam_adaptive: Type.Boolean({
    default: false,
    description:
      'Measure the distance of `sam_rho` relative to the size of each weight (Kwon et al. 2021); `sam_rho` is then usually ten times as large.',
  }),
} as const;

type OptimizerName = 'adamw' | 'sgd' | 'adafactor';

/** Options that one optimizer reads and the others do not. */
export const OPTIMIZER_KEYS = {
  adamw: ['adam_beta1', 'adam_beta2', 'adam_epsilon'],
  sgd: ['momentum', 'nesterov'],
  adafactor: [
    'adafactor_scale_parameter',
    'adafactor_relative_step',
    'adafactor_warmup_init',
    'adafactor_clip_threshold',
    'adafactor_decay_rate',
    'adafactor_beta1',
    'adafactor_epsilon1',
    'adafactor_epsilon2',
  ],
} as const satisfies Readonly<Record<OptimizerName, readonly (keyof typeof OPTIMIZER_OPTIONS)[]>>;
