import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';

/** Tokens a row may have when the run file does not say: enough for most instructions, cheap on a CPU. */
export const DEFAULT_MAX_LENGTH = 512;

const column = (description: string) => Type.Optional(Type.String({ minLength: 1, description }));

/** Which column plays which part, where a data file does not use the usual names. */
export const ColumnOptions = Type.Object(
  {
    prompt: column('Column of the prompt (format `prompt_completion`). Default: `prompt`.'),
    completion: column('Column of the completion (format `prompt_completion`). Default: `completion`.'),
    instruction: column('Column of the instruction (format `alpaca`). Default: `instruction`.'),
    input: column('Column of the optional input (format `alpaca`). Default: `input`.'),
    output: column('Column of the answer (format `alpaca`). Default: `output`.'),
    messages: column('Column of the messages (format `chat`). Default: `messages`, else `conversations`.'),
    text: column('Column of the text (formats `text` and `classification`). Default: `text`.'),
    text_pair: column('Column of an optional second text (format `classification`). Default: `text_pair`.'),
    label: column("Column of a row's class, a name or a number (format `classification`). Default: `label`."),
  },
  { additionalProperties: false, description: 'Names of the columns, where they differ from the usual ones.' },
);
export type ColumnOptions = Static<typeof ColumnOptions>;

/** How rows become prompts and answers. */
export const FormatOption = Type.Union(
  [
    Type.Literal('auto', { description: 'Taken from the columns of the first rows.' }),
    Type.Literal('prompt_completion', { description: 'Columns `prompt` and `completion`.' }),
    Type.Literal('alpaca', { description: 'Columns `instruction`, `input` (optional) and `output`.' }),
    Type.Literal('chat', {
      description:
        'Column `messages` (`role`, `content`) or `conversations` (`from`, `value`), rendered with the ' +
        "model's chat template.",
    }),
    Type.Literal('text', { description: 'Column `text`, or the paragraphs of a .txt file.' }),
    Type.Literal('classification', {
      description: 'Columns `text`, `text_pair` (optional) and `label` (`task_type: SEQ_CLS`).',
    }),
  ],
  { default: 'auto', description: 'How rows become prompts and answers.' },
);
export type FormatOption = Static<typeof FormatOption>;

/**
 * The `data` section of a run file. Relative paths start at the run file's folder; a path that exists is never taken
 * for an id of the hub.
 */
export const DataOptions = Type.Object(
  {
    train: Type.Union(
      [Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })],
      {
        description:
          'Training data: one file or a list of files (.jsonl, .ndjson, .json, .csv, .tsv, .txt in UTF-8; .parquet), ' +
          'or of data sets of the Hugging Face hub: `org/name:split`, `org/name/config:split`, ' +
          "`org/name@revision:split`; they are downloaded into the hub's cache.",
      },
    ),
    validation: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'Held-out rows: a file, or a data set of the hub (`org/name:split`). Not together with `validation_split`.',
      }),
    ),
    validation_split: Type.Optional(
      Type.Number({
        minimum: 0,
        default: 0,
        description: 'Rows held out of `train`, drawn at random: below 1 a share, from 1 on a number of rows.',
      }),
    ),
    format: Type.Optional(FormatOption),
    columns: Type.Optional(ColumnOptions),
    task_column: column(
      'Column that names the task of each row, text or a number: methods that tell tasks apart (prompt tuning) train ' +
        'one set of numbers for each, on batches of mixed tasks. Without it all rows are of one task.',
    ),
    max_length: Type.Optional(
      Type.Integer({
        minimum: 2,
        maximum: 2 ** 20,
        default: DEFAULT_MAX_LENGTH,
        description:
          'Most tokens in a row, prompt and answer together; of an encoder-decoder, of each of them. Longer rows are ' +
          'cut at the end; those left without a supervised token are dropped. Both are counted.',
      }),
    ),
    packing: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'Put several rows into one of `max_length` tokens. Attention and positions keep them apart, so the result ' +
          'is the same; short rows train faster.',
      }),
    ),
    train_on_prompt: Type.Optional(
      Type.Boolean({ default: false, description: 'Count the prompt in the loss too, not only the answer.' }),
    ),
    max_rows: Type.Optional(
      Type.Integer({ minimum: 1, description: 'Read at most this many rows of each split, from the start.' }),
    ),
    seed: Type.Optional(
      Type.Integer({ minimum: 0, description: "Seed of the validation split. Default: the run's seed." }),
    ),
  },
  { additionalProperties: false, description: 'Where the rows come from and how they become tokens.' },
);
export type DataOptions = Static<typeof DataOptions>;
