import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Random } from '../../src/common/random.js';
import { loadDataset } from '../../src/data/loadDataset.js';
import { readRows } from '../../src/data/readRows.js';
import { isBroken } from '../../src/data/row.js';
import type { Row } from '../../src/data/row.js';
import { chatMl, fakeTokenizer } from '../unit/data/fakeTokenizer.js';
import { mutateBytes } from './bytes.js';
import { writeInput } from './fuzz.js';
import { mutateJsonBytes } from './json.js';
import { broken, changeOneFile, oneIn, pick, textInput } from './target.js';
import type { FuzzTarget, Sandbox } from './target.js';
import { mutateText } from './text.js';

const TOKENIZER = fakeTokenizer({ bos: '<s>', template: chatMl });

const CHAT = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'One?' },
  { role: 'assistant', content: 'Two.<|im_end|>' },
];
const ROWS: readonly (readonly object[])[] = [
  [
    { prompt: 'a "b"', completion: 'c\nd' },
    { prompt: 'é \ud83d\ude00', completion: '</s>', extra: [1, null, { a: true }] },
  ],
  [
    { instruction: 'Do it.', input: '', output: 'Done.' },
    { instruction: 'And that.', output: 'Yes.', system: 'x' },
  ],
  [{ messages: CHAT }, { messages: CHAT.slice(1) }],
  [{ conversations: [{ from: 'human', value: 'Hi' }, { from: 'gpt', value: 'Ho' }] }], // prettier-ignore
  [{ text: 'One.' }, { text: ' Two. ' }],
];

const WORDS = {
  keys: [
    ...['prompt', 'completion', 'instruction', 'input', 'output', 'messages', 'conversations', 'text', 'data'],
    ...['role', 'content', 'from', 'value', 'system', 'tools'],
  ],
  values: [
    ...[
      '"user"',
      '"assistant"',
      '"tool"',
      '"gpt"',
      '"asistant"',
      '"<|im_end|>"',
      '"</s>"',
      '"<|endoftext|></s> "',
    ],
    ...['{"role":"user","content":"x"}', '{"from":"gpt","value":""}', '[{"role":"assistant","content":""}]'],
    ...[JSON.stringify(CHAT), `[${Array.from({ length: 600 }, () => '{"role":"user","content":"x"}').join()}]`],
  ],
};

/** JSON lines. */
export const jsonl: FuzzTarget = {
  name: 'jsonl',
  seeds: () => {
    const lines = ROWS.map((rows) => rows.map((row) => JSON.stringify(row)).join('\n') + '\n');
    return Promise.resolve([...lines, lines.join(''), lines.join('').replaceAll('\n', '\r\n\r\n')].map(asLines));
  },
  mutate: (input, rng) =>
    changeOneFile(input, rng, (bytes) => {
      if (oneIn(rng, 3)) return mutateText(bytes, rng, PIECES);
      const lines = Buffer.from(bytes).toString('utf8').split('\n');
      const at = rng.integer(lines.length);
      const line = mutateJsonBytes(Buffer.from(lines[at]!), rng, WORDS);
      return Buffer.concat([
        Buffer.from([...lines.slice(0, at), ''].join('\n')),
        line,
        Buffer.from(['', ...lines.slice(at + 1)].join('\n')),
      ]);
    }),
  run: (input, sandbox) => readData(input, sandbox, asJsonLines),
};

const asLines = (text: string) => textInput('rows.jsonl', text);

/** JSON files: an array of rows, also under `data`. */
export const json: FuzzTarget = {
  name: 'json',
  seeds: () =>
    Promise.resolve(
      [...ROWS, ROWS.flat()]
        .flatMap((rows) => [JSON.stringify(rows), JSON.stringify({ version: 1, data: rows }, null, 2)])
        .map((text) => textInput('rows.json', text)),
    ),
  mutate: (input, rng) =>
    changeOneFile(input, rng, (bytes) =>
      oneIn(rng, 4) ? mutateText(bytes, rng, PIECES) : mutateJsonBytes(bytes, rng, WORDS),
    ),
  run: (input, sandbox) => readData(input, sandbox, asJsonLines),
};

/** CSV, TSV and plain text. */
export const csv: FuzzTarget = {
  name: 'csv',
  seeds: () =>
    Promise.resolve([
      textInput('rows.csv', 'prompt,completion\r\n"a, ""b""",c\r\n"d\r\ne",f\r\n\r\nlast,"row"\r\n'),
      textInput('rows.csv', '\ufeffinstruction,input,output\nDo it.,,Done.\n"And\nthat.",x,"Yes."\n'),
      textInput('rows.tsv', 'text\tother\n"One\t1"\t2\nTwo.\t""\n'),
      textInput('rows.csv', 'text\n"a"\n\n"b ""c"" d"\n'),
      textInput('rows.txt', 'One line\nand another.\n\n\r\nA second paragraph.\n'),
    ]),
  mutate: (input, rng) =>
    changeOneFile(input, rng, (bytes) => (oneIn(rng, 4) ? wide(rng) : mutateText(bytes, rng, PIECES))),
  run: (input, sandbox) => readData(input, sandbox, asCsv),
};

/** Many columns or many quotes: what is walked for each of the others takes its square. */
function wide(rng: Random): Uint8Array {
  const count = oneIn(rng, 100) ? 100_000 : 20;
  const names = Array.from({ length: count }, (_, i) => `c${oneIn(rng, 1000) ? 0 : i}`);
  const cells = Array.from({ length: count }, () => pick(rng, ['', '"', 'x', '""', '"a"', '"a\n', 'b"']));
  return mutateBytes(
    Buffer.from(`text,${names.join()}\n${cells.join()}\n${cells.join(pick(rng, [',', '\n']))}`),
    rng,
  );
}

const PIECES = [
  ...[
    '"',
    '""',
    '"""',
    ',',
    ',,',
    '\t',
    '\n',
    '\r',
    '\r\n',
    '\n\n',
    '\u2028',
    '\u0000',
    '\ufeff',
    '\ufffd',
    'a',
    ' ',
  ],
  ...[
    '{',
    '}',
    '[',
    ']',
    '[]',
    '{}',
    ':',
    'null',
    '{"text":"x"}',
    '{"text":"x"},',
    '\\',
    '\\"',
    '//',
    'text',
    'prompt',
  ],
  ...[
    '"a","b"',
    'a"b',
    '"a"b',
    '"open',
    '__proto__',
    'constructor,__proto__\n1,2',
    '\ud83d\ude00',
    "'",
    ';',
    '|',
    '#',
  ],
];

/**
 * Loads the file as a run does. Rows that are read and written again are the same rows: `write` gives a file's name
 * and text, undefined where the format cannot hold them.
 */
async function readData(
  input: ReadonlyMap<string, Uint8Array>,
  sandbox: Sandbox,
  write: (rows: readonly Row[]) => readonly [name: string, text: string] | undefined,
): Promise<void> {
  writeInput(sandbox, input);
  const [[name, bytes]] = [...input] as [[string, Uint8Array]];
  const file = path.join(sandbox.folder, name);
  const { train, reports } = await loadDataset({ train: file }, TOKENIZER);
  const { rows, kept, brokenCount } = reports.train;
  if (kept !== train.length || kept + brokenCount > rows)
    broken(`${kept} of ${rows} rows kept, ${brokenCount} broken`);
  if (train.some(({ ids, supervised }) => ids.length !== supervised.length)) broken('masks of another length');
  const lines = Buffer.from(bytes).toString('latin1').split('\n').length;
  if (train.some(({ line }) => line < 1 || line > lines)) broken(`a row beyond the ${lines} lines`);
  if (bytes.length % 4 !== 0) return;
  const read = await rowsOf(file);
  const written = write(read);
  if (written === undefined) return;
  const copy = path.join(sandbox.scratch, written[0]);
  await writeFile(copy, written[1]);
  const again = await rowsOf(copy);
  // As JSON: what it cannot write (-0, 1e999) is not meant.
  if (JSON.stringify(read.map(valueOf)) !== JSON.stringify(again.map(valueOf)))
    broken('rows changed by writing and reading');
}

async function rowsOf(file: string): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const row of readRows(file)) if (!isBroken(row)) rows.push(row);
  return rows;
}

function valueOf({ value }: Row): Row['value'] {
  return value;
}

function asJsonLines(rows: readonly Row[]): readonly [string, string] {
  return ['copy.jsonl', rows.map(({ value }) => JSON.stringify(value)).join('\n')];
}

function asCsv(rows: readonly Row[]): readonly [string, string] | undefined {
  const values = rows.flatMap(({ value }) => (typeof value === 'string' ? [] : [value]));
  if (values.length !== rows.length) return undefined;
  const table = [Object.keys(values[0]!), ...values.map((value) => Object.values(value).map(String))];
  // A carriage return before a line break is taken for the break's.
  if (table.flat().some((cell) => cell.includes('\r'))) return undefined;
  const line = (cells: readonly string[]): string => cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join();
  return ['copy.csv', table.map(line).join('\n')];
}
