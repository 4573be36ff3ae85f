import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { shuffle } from '../common/random.js';
import type { Random } from '../common/random.js';
import type { Site } from '../models/site.js';
import { variable } from '../tensor/tensor.js';
import type { AttachContext, Method, SavedAdapter, Trainable, Values } from './method.js';
import { loadByKey } from './parameters.js';
import { PROMPT_KEY, inspectPrompt, promptConfigFromPeft, promptConfigToPeft } from './promptTuningConfig.js';
import type { OptionProblem } from './targets.js';

/** Prompt tuning's options, under the names and with the meaning of HF PEFT's `PromptTuningConfig`. */
export const PromptTuningOptions = Type.Object(
  {
    type: Type.Literal('prompt_tuning'),
    num_virtual_tokens: Type.Integer({
      minimum: 1,
      default: 20,
      description: 'How many trained tokens stand before every text; they take up positions of the model.',
    }),
    prompt_tuning_init: Type.Union(
      [Type.Literal('RANDOM'), Type.Literal('TEXT'), Type.Literal('SAMPLE_VOCAB'), Type.Literal('CLASS_LABELS')],
      {
        default: 'RANDOM',
        description:
          'Where they start: `RANDOM`: normal numbers of deviation 1; `TEXT`: the embeddings of `prompt_tuning_init_text`; `SAMPLE_VOCAB`: those of tokens drawn from the vocabulary; `CLASS_LABELS`: those of `class_labels`, one virtual token each, the others drawn from the vocabulary.',
      },
    ),
    prompt_tuning_init_text: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'The text to start from with `TEXT`; its tokens are cut or repeated to `num_virtual_tokens`.',
      }),
    ),
    class_labels: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        description:
          'The answers to start from with `CLASS_LABELS`, such as `positive` and `negative`: each gives one virtual token, the mean of its tokens.',
      }),
    ),
    population_size: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          'Tokens drawn from the vocabulary are among its first so many, each drawn once: the paper takes 5000, which tokenizers list by how frequent they are. Default: all of the vocabulary, as HF PEFT, where a token may be drawn twice.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type PromptTuningOptions = Static<typeof PromptTuningOptions>;

/**
 * Prompt tuning (Lester, Al-Rfou & Constant 2021, section 2): the model sees [P; E(x)], and of all numbers only
 * P [num_virtual_tokens, hidden] trains. It has no form as weights of the base, so it cannot be merged.
 *
 * Where rows name their task each task has a P of its own, [tasks · num_virtual_tokens, hidden] in all, and a batch may
 * mix tasks (figure 2). Saved, each is an adapter as PEFT reads it.
 */
export const promptTuning: Method<typeof PromptTuningOptions> = {
  info: {
    type: 'prompt_tuning',
    family: 'additive',
    place: 'input',
    title: 'Prompt tuning',
    summary: 'Learns the embeddings of a few virtual tokens that stand before every text.',
    paper: {
      authors: 'Lester, Al-Rfou & Constant',
      year: 2021,
      title: 'The Power of Scale for Parameter-Efficient Prompt Tuning',
      arxiv: '2104.08691',
    },
    engines: ['embedded'],
    mergeable: false,
    options: PromptTuningOptions,
  },
  attach(options, context) {
    const { model, instance = '', tasks = [] } = context;
    const count = options.num_virtual_tokens;
    checkRoom(count, model.maxPositions);
    const rows = count * Math.max(1, tasks.length);
    const shape = [rows, model.hiddenSize];
    const prompt = variable(`${instance}${PROMPT_KEY}`, shape);
    const trainables: Trainable[] = [
      { variable: prompt, start: startOf(options, Math.max(1, tasks.length), context), decays: true },
    ];
    /** The numbers of a task's own P. */
    const saved = (values: Values, task: number): SavedAdapter => {
      const size = count * model.hiddenSize;
      const data = values.get(prompt.name)!.subarray(task * size, (task + 1) * size);
      return {
        kind: 'adapter',
        config: promptConfigToPeft(options, context),
        tensors: [{ name: PROMPT_KEY, shape: [count, model.hiddenSize], data }],
      };
    };
    return {
      type: 'prompt_tuning',
      hooks: {
        virtualTokens: count,
        ...(tasks.length > 1 ? { virtualTasks: tasks.length } : {}),
        virtualEmbeddings: () => prompt,
      },
      trainables,
      ...(tasks.length > 0 ? { tasks } : {}),
      coverage: {
        targets:
          tasks.length === 0
            ? [{ entry: l10n.t`virtual tokens`, matched: count }]
            : tasks.map((task) => ({ entry: l10n.t`virtual tokens of the task ${task}`, matched: count })),
        modules: [{ path: PROMPT_KEY, shape, trainable: rows * model.hiddenSize }],
        layersCovered: 0,
        saves:
          tasks.length === 0
            ? l10n.t`adapter_model.safetensors with one tensor ${PROMPT_KEY} of ${count} × ${model.hiddenSize} numbers, and adapter_config.json`
            : l10n.t`a folder for each of the tasks ${tasks.join(', ')}: adapter_model.safetensors with one tensor ${PROMPT_KEY} of ${count} × ${model.hiddenSize} numbers, and adapter_config.json`,
        warnings: idleOptions(options),
      },
      save: (values) =>
        tasks.length === 0
          ? saved(values, 0)
          : { kind: 'adapters', byTask: new Map(tasks.map((task, at) => [task, saved(values, at)])) },
      load: (tensors, source) => loadByKey(trainables, (name) => name.slice(instance.length), tensors, source),
    };
  },
  peft: { type: 'PROMPT_TUNING', options: promptConfigFromPeft, inspect: inspectPrompt },
};

/** A text and its continuation need one position each at least. */
function checkRoom(count: number, maxPositions: number): void {
  const most = maxPositions - 2;
  if (count <= most) return;
  fail({
    code: 'prompt-tuning.positions',
    message: l10n.t`${count} virtual tokens leave no room for a text: the model has ${maxPositions} positions`,
    expected: l10n.t`num_virtual_tokens of at most ${most}`,
    mend: l10n.t`Lower num_virtual_tokens.`,
  });
}

/** Options that change nothing, and labels beyond the virtual tokens. */
function idleOptions(options: PromptTuningOptions): Problem[] {
  const { prompt_tuning_init: init, class_labels: labels = [], num_virtual_tokens: count } = options;
  const draws = init === 'SAMPLE_VOCAB' || init === 'CLASS_LABELS';
  const warnings: OptionProblem[] = [];
  const unused = (code: string, option: string, mend: string): void => {
    warnings.push({
      code,
      severity: 'warning',
      message: l10n.t`${option} is not used: prompt_tuning_init is ${init}`,
      mend,
      option: [option],
    });
  };
  if (init !== 'TEXT' && options.prompt_tuning_init_text !== undefined) {
    unused(
      'prompt-tuning.text-unused',
      'prompt_tuning_init_text',
      l10n.t`Set prompt_tuning_init: TEXT to start from the text, or remove it.`,
    );
  }
  if (init !== 'CLASS_LABELS' && labels.length > 0) {
    unused(
      'prompt-tuning.labels-unused',
      'class_labels',
      l10n.t`Set prompt_tuning_init: CLASS_LABELS to start from the labels, or remove them.`,
    );
  }
  if (!draws && options.population_size !== undefined) {
    unused(
      'prompt-tuning.population-unused',
      'population_size',
      l10n.t`Set prompt_tuning_init: SAMPLE_VOCAB to start from tokens, or remove it.`,
    );
  }
  if (init === 'CLASS_LABELS' && labels.length > count) {
    const [first] = labels.slice(count);
    warnings.push({
      code: 'prompt-tuning.more-labels',
      severity: 'warning',
      message: l10n.t`there are ${labels.length} class_labels and ${count} virtual tokens: those from "${first!}" on are left out`,
      mend: l10n.t`Raise num_virtual_tokens to ${labels.length}, or list fewer labels.`,
      option: ['num_virtual_tokens'],
    });
  }
  return warnings;
}

/**
 * Where P starts: as HF PEFT's `PromptEmbedding` has it, and, with class labels or a population, as Lester et al. 2021,
 * section 3.2, have it. What the options lack is said at once.
 *
 * @param tasks how many prompts there are
 */
function startOf(options: PromptTuningOptions, tasks: number, context: AttachContext): Trainable['start'] {
  const { model } = context;
  const count = options.num_virtual_tokens;
  const draws = context.random(PROMPT_KEY);
  /** Of each virtual token the tokens that it is the mean of. */
  const ofTasks = (prompt: () => readonly (readonly number[])[]): Trainable['start'] => {
    const rows = Array.from({ length: tasks }, prompt).flat();
    return () => embeddingsOf(rows, context);
  };
  switch (options.prompt_tuning_init) {
    case 'RANDOM':
      return () => {
        const own = context.random(PROMPT_KEY);
        return Float32Array.from({ length: tasks * count * model.hiddenSize }, () => own.normal());
      };
    case 'SAMPLE_VOCAB':
      return ofTasks(() => sampledIds(count, options, context, draws));
    case 'TEXT': {
      const ids = textIds(options, context);
      return ofTasks(() => Array.from({ length: count }, (_, at) => [ids[at % ids.length]!]));
    }
    case 'CLASS_LABELS': {
      const labels = labelIds(options, context).slice(0, count);
      return ofTasks(() => [...labels, ...sampledIds(count - labels.length, options, context, draws)]);
    }
  }
}

/** Tokens drawn from the vocabulary: all of it, with repetition; or its first ones, each at most once. */
function sampledIds(
  count: number,
  { population_size: population }: PromptTuningOptions,
  { model: { vocabSize } }: AttachContext,
  draws: Random,
): readonly (readonly number[])[] {
  if (population === undefined) return Array.from({ length: count }, () => [draws.integer(vocabSize)]);
  const size = Math.min(population, vocabSize);
  if (count > size) {
    const problem: OptionProblem = {
      code: 'prompt-tuning.population',
      message: l10n.t`${count} tokens are to be drawn from ${size}, each at most once`,
      expected: l10n.t`a population_size of at least ${count}`,
      mend: l10n.t`Raise population_size, or lower num_virtual_tokens.`,
      option: ['population_size'],
    };
    fail(problem);
  }
  return shuffle([...Array(size).keys()], draws)
    .slice(0, count)
    .map((id) => [id]);
}

/** The tokens of each class label, without special ones. */
function labelIds(options: PromptTuningOptions, context: AttachContext): readonly (readonly number[])[] {
  const { class_labels: labels = [] } = options;
  if (labels.length === 0) {
    return fail({
      code: 'prompt-tuning.labels',
      message: l10n.t`prompt_tuning_init is CLASS_LABELS, and there are no class_labels`,
      expected: l10n.t`the answers that there are, such as [positive, negative]`,
      mend: l10n.t`Add class_labels, or choose another prompt_tuning_init.`,
    });
  }
  return labels.map((label) => idsOf(label, false, 'class_labels', context));
}

/** The ids of the text to start from, special tokens included, as PEFT takes them. */
function textIds(options: PromptTuningOptions, context: AttachContext): readonly number[] {
  const text = options.prompt_tuning_init_text;
  if (text === undefined) {
    return fail({
      code: 'prompt-tuning.text',
      message: l10n.t`prompt_tuning_init is TEXT, and there is no prompt_tuning_init_text`,
      expected: l10n.t`a text such as "Classify the sentiment of this review:"`,
      mend: l10n.t`Add prompt_tuning_init_text, or choose another prompt_tuning_init.`,
    });
  }
  return idsOf(text, true, 'prompt_tuning_init_text', context);
}

/** @param option whose text it is, for messages */
function idsOf(
  text: string,
  addSpecialTokens: boolean,
  option: 'prompt_tuning_init_text' | 'class_labels',
  { tokenizer, model }: AttachContext,
): readonly number[] {
  if (tokenizer === undefined) {
    return fail({
      code: 'prompt-tuning.tokenizer',
      message: l10n.t`${option} is text, and the base model comes without a tokenizer`,
      expected: l10n.t`a tokenizer beside the base model`,
      mend: l10n.t`Use a model folder with its tokenizer, or prompt_tuning_init: SAMPLE_VOCAB.`,
    });
  }
  const ids = tokenizer.encode(text, { addSpecialTokens });
  const outside = ids.find((id) => id >= model.vocabSize);
  if (ids.length === 0 || outside !== undefined) {
    fail({
      code: 'prompt-tuning.text',
      message:
        outside === undefined
          ? l10n.t`${option}: ${JSON.stringify(text)} holds no token`
          : l10n.t`${option} holds the token id ${outside}, and the model's vocabulary ends at ${model.vocabSize - 1}`,
      expected: l10n.t`a text of tokens of the model's vocabulary`,
      mend: l10n.t`Choose another text.`,
    });
  }
  return ids;
}

/**
 * The embeddings [rows, hidden] as the model's first layer gets them, of each row the mean over its tokens.
 */
async function embeddingsOf(
  rows: readonly (readonly number[])[],
  { model, read }: AttachContext,
): Promise<Float32Array> {
  const { hiddenSize, embeddingScale = 1 } = model;
  const table = await read(tokenSite(model.sites).weight!);
  // In float32, as the graph multiplies.
  const scale = Math.fround(embeddingScale);
  const embeddings = new Float32Array(rows.length * hiddenSize);
  for (const [at, ids] of rows.entries()) {
    for (let column = 0; column < hiddenSize; column++) {
      const sum = ids.reduce((total, id) => total + table[id * hiddenSize + column]!, 0);
      embeddings[at * hiddenSize + column] = Math.fround(sum / ids.length) * scale;
    }
  }
  return embeddings;
}

/** Sites are in the order of the forward pass: tokens are looked up before positions. */
function tokenSite(sites: readonly Site[]): Site {
  return sites.find(({ kind }) => kind === 'embedding')!;
}
