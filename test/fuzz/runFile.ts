import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parse, stringify } from 'yaml';
import { isError, ProblemError } from '../../src/common/problem.js';
import type { Random } from '../../src/common/random.js';
import { loadRunFile } from '../../src/config/loadRunFile.js';
import { parseRunFile } from '../../src/config/parseRunFile.js';
import { readYaml } from '../../src/config/readYaml.js';
import { scaffoldRunFile } from '../../src/config/scaffold.js';
import { RunFile } from '../../src/config/schema.js';
import type { ConfigNode } from '../../src/config/tree.js';
import { METHODS } from '../../src/methods/registry.js';
import { checkProblems, writeInput } from './fuzz.js';
import { mutateTree, treeOf, treeText } from './json.js';
import { broken, oneIn } from './target.js';
import type { FuzzInput, FuzzTarget } from './target.js';
import { mutateText } from './text.js';

const FILE = 'a.peft.yaml';
/** One per line, as `--set` gives them. */
const OVERRIDES = 'overrides.txt';

const FULL = `
model: model.gguf # a comment
data: &data
  train: [rows.jsonl, "rows.jsonl"]
  validation_split: 0.1
  columns: { prompt: question, completion: 'the answer' }
method:
  - type: lora
    r: 8
    target_modules: [q_proj, v_proj]
    rank_pattern: { q_proj: 4 }
    bias: lora_only
training:
  num_train_epochs: 1
  learning_rate: 2e-4
  lr_scheduler_type: cosine
output:
  dir: ./runs
  name: >-
    a
    name
`;

/** Run files in YAML and JSON, with overrides. */
export const runFile: FuzzTarget = {
  name: 'run-file',
  seeds: () => {
    const texts = [
      FULL,
      ...METHODS.map(({ type }, at) => {
        const text = scaffoldRunFile({ model: 'model.gguf', train: 'rows.jsonl', method: type });
        // One with its comments will do: they are most of the text, and of the time.
        return at === 0 ? text : text.replaceAll(/^ *#.*\n/gm, '');
      }),
      JSON.stringify(parse(FULL.replace('&data', ''))),
      'model: model.gguf\ndata:\n  train: rows.jsonl\nmethod:\n  type: lora\n',
    ];
    return Promise.resolve(
      texts.map(
        (text): FuzzInput =>
          new Map([
            [FILE, Buffer.from(text)],
            [OVERRIDES, Buffer.from('training.seed=7\ndata.max_rows=9')],
            ['model.gguf', Buffer.from('GGUF')],
            ['rows.jsonl', Buffer.from('{}\n')],
          ]),
      ),
    );
  },
  mutate(input, rng) {
    const name = oneIn(rng, 8) ? OVERRIDES : FILE;
    const bytes = input.get(name)!;
    const tree = name === FILE && oneIn(rng, 3) ? asJson(bytes, rng) : undefined;
    return new Map([...input, [name, tree ?? mutateText(bytes, rng, name === FILE ? PIECES : SETTINGS)]]);
  },
  async run(input, sandbox) {
    writeInput(sandbox, input);
    const file = path.join(sandbox.folder, FILE);
    const overrides = Buffer.from(input.get(OVERRIDES)!).toString('utf8').split('\n').slice(0, 20);
    const { run, problems } = await loadRunFile(file, overrides);
    // What an override has wrong is placed at the override.
    checkProblems(
      problems.filter((problem) => !problem.where?.file.startsWith('--set ')),
      sandbox,
    );
    if (run === undefined) {
      const first = problems.find(isError) ?? broken('no run, and no problem that is an error');
      throw new ProblemError({ ...first, where: { ...first.where, file } });
    }
    const again = parseRunFile(stringify(run.config, { aliasDuplicateObjects: false }), file);
    if (!isDeepStrictEqual(again.config, run.config)) {
      broken(`another config from its own YAML: ${JSON.stringify([run.config, again])}`);
    }
  },
};

/** The content as JSON with one thing changed; undefined where it is no YAML (read with the product's limits). */
function asJson(bytes: Uint8Array, rng: Random): Uint8Array | undefined {
  const { root } = readYaml(Buffer.from(bytes).toString('utf8'), FILE);
  return root && Buffer.from(treeText(mutateTree(treeOf(plain(root)), rng, WORDS)));
}

function plain(node: ConfigNode): unknown {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(plain);
  return Object.fromEntries(node.entries.map(({ key, value }) => [key, plain(value)]));
}

const SECTIONS = Object.keys(RunFile.properties);
const OPTIONS = [
  ...Object.keys(RunFile.properties.data.properties),
  ...Object.keys(RunFile.properties.training.properties),
  ...METHODS.flatMap(({ options }) => Object.keys(options.properties)),
];
const WORDS = {
  keys: [...SECTIONS, ...OPTIONS, 'lr', 'epochs', 'fp16', 'use_dora', 'task_type', 'lora_r'],
  values: [
    ...METHODS.map(({ type }) => JSON.stringify(type)),
    ...[
      '"all-linear"',
      '"q_proj"',
      '["q_proj"]',
      '["q_proj","q_proj"]',
      '".*\\\\.q_proj"',
      '"none"',
      '"cosine"',
      '"adamw"',
    ],
    ...[
      '{"type":"lora"}',
      '[{"type":"lora"},{"type":"full"}]',
      '{"q_proj":4}',
      '{"(":4}',
      '"rows.jsonl"',
      '"model.gguf"',
    ],
    ...[
      '"~/x"',
      '"org/model"',
      '".."',
      '"a/b/../c"',
      '"runs\\u0000"',
      '"CON"',
      '" "',
      '0.0001',
      '1e-3',
      '"1e-3"',
      '512',
    ],
  ],
};

const BOMB = [
  'a: &a [x, x, x, x, x, x, x, x, x]',
  ...['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'].map(
    (name, at) => `${name}: &${name} [${Array.from({ length: 9 }, () => `*${'abcdefgh'[at]}`).join()}]`,
  ),
].join('\n');

const PIECES = [
  ...SECTIONS.map((name) => `${name}:`),
  ...OPTIONS.map((name) => `  ${name}: 1`),
  ...[
    BOMB,
    'a: &x *x',
    '  <<: *data',
    'x: &data',
    '*data',
    '&data',
    '&data &data x',
    '? a\n: b',
    '? [a, b]\n: c',
    '?',
    ': ',
    '- - - -',
  ],
  ...[
    '---',
    '...',
    '--- !',
    '%YAML 1.1\n---',
    '%YAML 9.9',
    '%TAG ! tag:x,2000:\n---',
    '!!binary "AA=="',
    '!!js/function "x"',
  ],
  ...[
    '!!set {a}',
    '!!omap [a: 1]',
    '!!timestamp 2001-01-01',
    '!<tag:yaml.org,2002:str> 1',
    '!!float "1"',
    '!!int 0x1F',
    '!x',
    '!!merge',
  ],
  ...[
    '.nan',
    '.inf',
    '-.inf',
    '1e999',
    '0o17',
    '0x1F',
    '1_000',
    '+1',
    '1:30',
    '~',
    'null',
    'yes',
    'on',
    'No',
    'TRUE',
    '2001-01-01',
  ],
  ...[
    '|',
    '>',
    '|+',
    '>-\n  x',
    '|2\n   x',
    '"\\x41\\u0000"',
    '"\\ud800"',
    '"\\q"',
    "'it''s'",
    '"open',
    "'open",
    '#',
    ' # c',
    '\t',
    '\u0000',
  ],
  ...[
    '[',
    ']',
    '{',
    '}',
    '[[[[',
    '{{{{',
    '[a, b',
    '{a: b',
    '{a, b}',
    '[a: b]',
    '[,]',
    ',',
    '@',
    '`',
    '%',
    '- ',
    '-',
    ':',
    '::',
  ],
  ...[
    '__proto__: 1',
    '  __proto__: { polluted: 1 }',
    'constructor: 1',
    '"": 1',
    '"<<": 1',
    'null: 1',
    '1: 1',
    'true: x',
    '? {a: b}\n: c',
  ],
  ...[
    '\ufeff',
    '\u2028',
    '\u0085',
    '\u00a0',
    '\ufffd',
    '\ud83d\ude00',
    '\u001b[2J',
    `${'['.repeat(70)}`,
    `${'- '.repeat(200)}x`,
  ],
  ...[
    `${'{a: '.repeat(5000)}`,
    `k${'k'.repeat(3000)}: 1`,
    `"${'x'.repeat(5000)}"`,
    '- type: lora',
    '{type: lora, r: 4}',
    'lr: 1e-4',
  ],
];

const SETTINGS = [
  ...OPTIONS.map((name) => `training.${name}=1`),
  ...[
    'method.r=4',
    'method.0.r=4',
    'method.0.r=x',
    'method.1.type=lora',
    'method.9.type=lora',
    'a.b.c=1',
    '=',
    'x',
    '.=1',
    'model',
    'model=',
    'data.train.2=x',
  ],
  ...[
    '__proto__.x=1',
    'constructor.prototype.x=1',
    'model.__proto__=1',
    'data={}',
    'method=[]',
    'method={type: full}',
    'data.train=*a',
  ],
  ...[
    'output.name=&a [*a]',
    'training=!!x 1',
    'model="\\ud800"',
    'runtime.threads=1e999',
    `data.columns=${'['.repeat(70)}`,
    ' = ',
  ],
];
