import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Site } from '../models/site.js';
import { variable } from '../tensor/tensor.js';
import type { AttachContext, Method, SavedAdapter, Trainable, Values } from './method.js';
import { loadByKey } from './parameters.js';
import { PROMPT_KEY, inspectPrompt, promptConfigFromPeft, promptConfigToPeft } from './promptTuningConfig.js';

/** Prompt tuning's options, under the names and with the meaning of HF PEFT's `PromptTuningConfig`. */
export const PromptTuningOptions = Type.Object(
  {
    type: Type.Literal('prompt_tuning'),
    num_virtual_tokens: Type.Integer({
      minimum: 1,
      default: 20,
      description: 'How many trained tokens stand before every text; they take up positions of the model.',
    }),
    prompt_tuning_init: Type.Union([Type.Literal('RANDOM'), Type.Literal('TEXT'), Type.Literal('SAMPLE_VOCAB')], {
      default: 'RANDOM',
      description:
        'Where they start: `RANDOM`: normal numbers of deviation 1; `TEXT`: the embeddings of `prompt_tuning_init_text`; `SAMPLE_VOCAB`: those of tokens drawn from the vocabulary.',
    }),
    prompt_tuning_init_text: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'The text to start from with `TEXT`; its tokens are cut or repeated to `num_virtual_tokens`.',
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
 * mix tasks (section 1: "mixed-task inference"). Saved, each is an adapter as PEFT reads it.
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
    const trainables: Trainable[] = [{ variable: prompt, start: startOf(options, rows, context), decays: true }];
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
        warnings: idleText(options),
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

function idleText(options: PromptTuningOptions): Problem[] {
  if (options.prompt_tuning_init === 'TEXT' || options.prompt_tuning_init_text === undefined) return [];
  return [
    {
      code: 'prompt-tuning.text-unused',
      severity: 'warning',
      message: l10n.t`prompt_tuning_init_text is not used: prompt_tuning_init is ${options.prompt_tuning_init}`,
      mend: l10n.t`Set prompt_tuning_init: TEXT to start from the text, or remove it.`,
    },
  ];
}

/**
 * Where P starts: as HF PEFT's `PromptEmbedding` has it. What the options lack is said at once.
 * @param count rows of all tasks
 */
function startOf(options: PromptTuningOptions, count: number, context: AttachContext): Trainable['start'] {
  const { model } = context;
  const draws = context.random(PROMPT_KEY);
  switch (options.prompt_tuning_init) {
    case 'RANDOM':
      return () => Float32Array.from({ length: count * model.hiddenSize }, () => draws.normal());
    case 'SAMPLE_VOCAB': {
      const ids = Array.from({ length: count }, () => draws.integer(model.vocabSize));
      return () => embeddingsOf(ids, context);
    }
    case 'TEXT': {
      const ids = textIds(options, context);
      const own = options.num_virtual_tokens;
      return () =>
        embeddingsOf(
          Array.from({ length: count }, (_, at) => ids[(at % own) % ids.length]!),
          context,
        );
    }
  }
}

/** The ids of the text to start from, special tokens included, as PEFT takes them. */
function textIds(options: PromptTuningOptions, { tokenizer, model }: AttachContext): readonly number[] {
  const text = options.prompt_tuning_init_text;
  if (text === undefined) {
    return fail({
      code: 'prompt-tuning.text',
      message: l10n.t`prompt_tuning_init is TEXT, and there is no prompt_tuning_init_text`,
      expected: l10n.t`a text such as "Classify the sentiment of this review:"`,
      mend: l10n.t`Add prompt_tuning_init_text, or choose another prompt_tuning_init.`,
    });
  }
  if (tokenizer === undefined) {
    return fail({
      code: 'prompt-tuning.tokenizer',
      message: l10n.t`prompt_tuning_init is TEXT, and the base model comes without a tokenizer`,
      expected: l10n.t`a tokenizer beside the base model`,
      mend: l10n.t`Use a model folder with its tokenizer, or prompt_tuning_init: SAMPLE_VOCAB.`,
    });
  }
  const ids = tokenizer.encode(text, { addSpecialTokens: true });
  const outside = ids.find((id) => id >= model.vocabSize);
  if (ids.length === 0 || outside !== undefined) {
    fail({
      code: 'prompt-tuning.text',
      message:
        outside === undefined
          ? l10n.t`prompt_tuning_init_text ${JSON.stringify(text)} holds no token`
          : l10n.t`prompt_tuning_init_text holds the token id ${outside}, and the model's vocabulary ends at ${model.vocabSize - 1}`,
      expected: l10n.t`a text of tokens of the model's vocabulary`,
      mend: l10n.t`Choose another text.`,
    });
  }
  return ids;
}

/** E(ids): [ids, hidden], as the model's first layer gets them. */
async function embeddingsOf(ids: readonly number[], { model, read }: AttachContext): Promise<Float32Array> {
  const { hiddenSize, embeddingScale = 1 } = model;
  const table = await read(tokenSite(model.sites).weight!);
  const rows = new Float32Array(ids.length * hiddenSize);
  for (const [at, id] of ids.entries()) {
    rows.set(table.subarray(id * hiddenSize, (id + 1) * hiddenSize), at * hiddenSize);
  }
  // In float32, as the graph multiplies.
  const scale = Math.fround(embeddingScale);
  return rows.map((value) => value * scale);
}

/** Sites are in the order of the forward pass: tokens are looked up before positions. */
function tokenSite(sites: readonly Site[]): Site {
  return sites.find(({ kind }) => kind === 'embedding')!;
}
