import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import { DataOptions } from '../data/options.js';
import { METHODS } from '../methods/registry.js';

/** The engines that run a file; another engine is one more line. */
const Engine = Type.Union([Type.Literal('embedded')], {
  default: 'embedded',
  description: "What runs the file. `embedded`: PEFT Studio's own engine on ONNX Runtime; nothing to install.",
});

/** One method's options; `type` tells which. */
const MethodOptions = Type.Union(METHODS.map((method) => method.options));

/** How long and how fast to train, under the names and with the meaning of Hugging Face's `TrainingArguments`. */
export const TrainingOptions = Type.Object(
  {
    num_train_epochs: Type.Number({
      exclusiveMinimum: 0,
      default: 3,
      description: 'How many times to go through the training data; a fraction stops within a pass.',
    }),
    max_steps: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: 'Stop after this many optimizer steps. Overrides `num_train_epochs`.',
      }),
    ),
    per_device_train_batch_size: Type.Integer({
      minimum: 1,
      default: 8,
      description:
        'Rows in one forward and backward pass. Memory grows with it; the result of a step does not change when `gradient_accumulation_steps` makes up for it.',
    }),
    per_device_eval_batch_size: Type.Integer({
      minimum: 1,
      default: 8,
      description: 'Rows in one forward pass of an evaluation.',
    }),
    gradient_accumulation_steps: Type.Integer({
      minimum: 1,
      default: 1,
      description:
        'Batches whose gradients are summed before one optimizer step, as one batch that many times as large.',
    }),
    learning_rate: Type.Number({
      exclusiveMinimum: 0,
      default: 2e-4,
      description:
        'The highest learning rate of the schedule. The default suits LoRA (usual: 1e-4 to 1e-3); full fine-tuning wants about 2e-5.',
    }),
    optim: Type.Union([Type.Literal('adamw'), Type.Literal('sgd'), Type.Literal('adafactor')], {
      default: 'adamw',
      description:
        'The optimizer. `adamw`: Adam with decoupled weight decay (Loshchilov & Hutter 2019). `sgd`: gradient descent, with `momentum` if set; its weight decay is a term of the gradient. `adafactor`: second moments as means of rows and columns (Shazeer & Stern 2018), a fraction of the memory, with the learning rate of the schedule.',
    }),
    momentum: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the last update that `sgd` keeps.',
    }),
    nesterov: Type.Boolean({
      default: false,
      description: 'Nesterov momentum for `sgd`: the gradient looks one update ahead.',
    }),
    adafactor_beta1: Type.Optional(
      Type.Number({
        minimum: 0,
        exclusiveMaximum: 1,
        description:
          "How slowly Adafactor's mean of the updates changes; without it there is none, which saves memory.",
      }),
    ),
    adafactor_epsilon1: Type.Number({
      exclusiveMinimum: 0,
      default: 1e-30,
      description: 'Added to the squared gradient by Adafactor.',
    }),
    adafactor_epsilon2: Type.Number({
      exclusiveMinimum: 0,
      default: 1e-3,
      description: 'The least size of a parameter that `adafactor_scale_parameter` goes by.',
    }),
    adafactor_clip_threshold: Type.Number({
      exclusiveMinimum: 0,
      default: 1,
      description: 'Adafactor scales an update down to this root mean square.',
    }),
    adafactor_decay_rate: Type.Number({
      exclusiveMaximum: 0,
      default: -0.8,
      description: "How fast Adafactor's second moments slow down: β₂ = 1 − step^this.",
    }),
    adafactor_scale_parameter: Type.Boolean({
      default: false,
      description: "Let Adafactor's steps go by the parameter's own size.",
    }),
    sam_rho: Type.Number({
      minimum: 0,
      default: 0,
      description:
        'Sharpness-aware minimization (Foret et al. 2021): gradients are taken at the worst point within this distance, usually 0.05. Costs a second pass per step; 0 switches it off.',
    }),
    sam_adaptive: Type.Boolean({
      default: false,
      description:
        'Measure that distance relative to each weight (Kwon et al. 2021); `sam_rho` is then about ten times as large.',
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
    weight_decay: Type.Number({
      minimum: 0,
      default: 0,
      description: 'Decoupled weight decay: each step shrinks the trained weights by learning rate × this.',
    }),
    max_grad_norm: Type.Number({
      minimum: 0,
      default: 1,
      description:
        'Gradients are scaled down so that their global L2 norm is at most this; 0 switches clipping off.',
    }),
    lr_scheduler_type: Type.Union(
      [
        Type.Literal('linear'),
        Type.Literal('cosine'),
        Type.Literal('cosine_with_restarts'),
        Type.Literal('polynomial'),
        Type.Literal('constant'),
      ],
      {
        default: 'linear',
        description:
          'The learning rate after the warm-up: falling to 0 in a line or a half cosine (`cosine_with_restarts`: several, see `lr_num_cycles`), to `lr_end` as a power of the time left (`polynomial`), or `constant`.',
      },
    ),
    lr_num_cycles: Type.Integer({
      minimum: 1,
      default: 1,
      description: 'How many half cosines `cosine_with_restarts` takes, each from the highest rate to 0.',
    }),
    lr_power: Type.Number({
      exclusiveMinimum: 0,
      default: 1,
      description: 'The power of `polynomial`; 1 is a line.',
    }),
    lr_end: Type.Number({
      minimum: 0,
      default: 1e-7,
      description: 'The learning rate in which `polynomial` ends.',
    }),
    warmup_steps: Type.Integer({
      minimum: 0,
      default: 0,
      description:
        'Optimizer steps over which the learning rate rises from 0. Give this or `warmup_ratio`, not both.',
    }),
    warmup_ratio: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0,
      description:
        'Share of all optimizer steps that is warm-up, rounded up. Give this or `warmup_steps`, not both.',
    }),
    seed: Type.Integer({
      minimum: 0,
      maximum: 2 ** 32 - 1,
      default: 42,
      description:
        'Seed of everything random: initial weights, order of rows, dropout. Same file, same seed, same result.',
    }),
    eval_steps: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: 'Evaluate every so many optimizer steps; without it, at the end of each epoch.',
      }),
    ),
    save_steps: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          'Write a checkpoint every so many optimizer steps; without it, at the end of each epoch. A run that was stopped or killed is resumed from its last checkpoint.',
      }),
    ),
    save_total_limit: Type.Integer({
      minimum: 1,
      default: 1,
      description: 'How many checkpoints to keep, the newest; the best one is kept beside them.',
    }),
    load_best_model_at_end: Type.Boolean({
      default: false,
      description:
        'The result is that of the best evaluation (see `metric_for_best_model`), not of the last step.',
    }),
    metric_for_best_model: Type.Union(
      [Type.Literal('eval_loss'), Type.Literal('eval_token_accuracy'), Type.Literal('eval_row_accuracy')],
      {
        default: 'eval_loss',
        description:
          'What tells the best evaluation on the held-out rows: the lowest loss, or the highest accuracy.',
      },
    ),
    early_stopping_patience: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          'End the run after so many evaluations in a row without an improvement of `metric_for_best_model`.',
      }),
    ),
    early_stopping_threshold: Type.Number({
      minimum: 0,
      default: 0,
      description: 'How much the metric has to improve for early stopping to count it.',
    }),
    logging_steps: Type.Integer({
      minimum: 1,
      default: 1,
      description: 'Report loss and learning rate every so many optimizer steps.',
    }),
  },
  { additionalProperties: false, default: {}, description: 'How long and how fast to train.' },
);
export type TrainingOptions = Readonly<Static<typeof TrainingOptions>>;

const OutputOptions = Type.Object(
  {
    dir: Type.String({
      minLength: 1,
      default: 'runs',
      description: 'Folder for results, relative to the run file. Each run writes `<dir>/<name>/<time>`.',
    }),
    name: Type.Optional(
      Type.String({
        minLength: 1,
        description: "The run's name; without it, the run file's name up to `.peft`.",
      }),
    ),
  },
  { additionalProperties: false, default: {}, description: 'Where results go.' },
);

const RuntimeOptions = Type.Object(
  {
    threads: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1024,
        description: 'Threads for the arithmetic; without it, one per physical core.',
      }),
    ),
    provider: Type.Union([Type.Literal('cpu')], {
      default: 'cpu',
      description: 'What computes: the ONNX Runtime execution provider.',
    }),
  },
  { additionalProperties: false, default: {}, description: 'What the engine computes on.' },
);

/**
 * The one schema of a run file (`*.peft.yaml`, `*.peft.json`): static types, JSON Schema, defaults, hover texts,
 * scaffold and checks all come from it.
 */
export const RunFile = Type.Object(
  {
    model: Type.String({
      minLength: 1,
      description:
        'The base model: a folder with `config.json`, safetensors and `tokenizer.json`, or a `.gguf` file. Relative to the run file.',
    }),
    engine: Engine,
    data: DataOptions,
    method: Type.Union([MethodOptions, Type.Array(MethodOptions, { minItems: 1 })], {
      description: 'The fine-tuning method and its options, or a list of methods attached together.',
    }),
    training: TrainingOptions,
    output: OutputOptions,
    runtime: RuntimeOptions,
  },
  { additionalProperties: false },
);

/** The options of one method, told apart by `type`. */
export type MethodConfig = DeepReadonly<Static<typeof MethodOptions>>;

/** A checked run file with every default filled in and `method` always a list. Frozen. */
export type RunConfig = DeepReadonly<Omit<Static<typeof RunFile>, 'method'>> & {
  readonly method: readonly MethodConfig[];
};

/** Properties read-only at every depth. Lists keep their type, or methods could not take options as they type them. */
type DeepReadonly<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;
