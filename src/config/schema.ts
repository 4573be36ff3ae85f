import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import { DataOptions } from '../data/options.js';
import { METHODS } from '../methods/registry.js';
import { CACHE_OPTIONS } from './cacheOptions.js';
import { CHECKPOINT_OPTIONS } from './checkpointOptions.js';
import { OPTIMIZER_OPTIONS } from './optimizerOptions.js';
import { SCHEDULE_OPTIONS } from './scheduleOptions.js';

/** The engines that run a file; another engine is one more line. */
const Engine = Type.Union([Type.Literal('embedded')], {
  default: 'embedded',
  description: "What runs the file. `embedded`: PEFT Studio's own engine on ONNX Runtime; nothing to install.",
});

/** What the model learns to do, under Hugging Face PEFT's names. */
const TaskTypeOption = Type.Optional(
  Type.Union(
    [
      Type.Literal('CAUSAL_LM', { description: 'Continue a text: decoders (Llama, Qwen, Gemma, GPT-2).' }),
      Type.Literal('SEQ_2_SEQ_LM', { description: 'Answer a text that an encoder reads: encoder-decoders (T5).' }),
      Type.Literal('SEQ_CLS', {
        description:
          'Tell the class of a text, or of two: encoders (BERT, RoBERTa). Rows have columns `text` and `label`; the ' +
          'classifier trains along with the method.',
      }),
      Type.Literal('MASKED_LM', {
        description:
          'Guess masked tokens of a text: encoders with a head for it. Adapts a model to texts of a field. Hugging ' +
          'Face PEFT has no name for it: it is saved there as null.',
      }),
    ],
    {
      description: 'What the model learns to do. Default: what its architecture is made for; encoders: `SEQ_CLS`.',
    },
  ),
);

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
    ...OPTIMIZER_OPTIONS,
    max_grad_norm: Type.Number({
      minimum: 0,
      default: 1,
      description:
        'Gradients are scaled down so that their global L2 norm is at most this; 0 switches clipping off.',
    }),
    ...SCHEDULE_OPTIONS,
    seed: Type.Integer({
      minimum: 0,
      maximum: 2 ** 32 - 1,
      default: 42,
      description:
        'Seed of everything random: initial weights, order of rows, dropout. Same file, same seed, same result.',
    }),
    ...CACHE_OPTIONS,
    ...CHECKPOINT_OPTIONS,
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

const ProxyTuningOptions = Type.Object(
  {
    model: Type.String({
      minLength: 1,
      description:
        'The larger base model: a folder, a `.gguf` file or a model of the hub, as `model` is named. Its tokenizer has to be that of `model`.',
    }),
    alpha: Type.Number({
      default: 1,
      description: 'Factor on what tuning changed in the small model; 0 is the larger base alone.',
    }),
  },
  {
    additionalProperties: false,
    description:
      'Proxy-tuning: the small `model` is trained, and what it learns steers a larger base while that decodes. Validation rows are answered by the larger base, and its held-out loss is measured at the end.',
  },
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
        'The base model: a folder with `config.json`, safetensors and `tokenizer.json`, or a `.gguf` file, relative to ' +
        'the run file. Or a model of the Hugging Face hub: `org/name`, `org/name@revision`, `org/name/file.gguf`; it is ' +
        "downloaded once, into the cache that Python's huggingface_hub uses, too. A path that exists is never taken for an id.",
    }),
    engine: Engine,
    task_type: TaskTypeOption,
    data: DataOptions,
    method: Type.Union([MethodOptions, Type.Array(MethodOptions, { minItems: 1 })], {
      description: 'The fine-tuning method and its options, or a list of methods attached together.',
    }),
    proxy_tuning: Type.Optional(ProxyTuningOptions),
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
