import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

/** What a run of one seed came to. */
export type Metrics = Readonly<Record<string, number>>;

export interface Entry {
  readonly name: string;
  readonly measure: (seed: number) => Promise<Metrics>;
}

/** A column of a table: the mean over seeds, the least and the most. */
export interface Column {
  readonly title: string;
  readonly key: string;
  readonly digits: number;
  readonly factor?: number;
}

export interface Group {
  readonly title: string;
  /** What its numbers say of the claim. */
  readonly note?: string;
  readonly columns: readonly Column[];
  readonly entries: readonly Entry[];
}

export interface GroupsFile {
  /** The Markdown file to write; numbers are kept in a JSON file beside it. */
  readonly out: string;
  readonly seeds: readonly number[];
  /** Numbers of the groups to measure, from 1, with commas; absent: all. `0`: none, the tables are written anew. */
  readonly chosen: string | undefined;
  /** Entries whose names hold this. */
  readonly only: string;
}

const root = path.resolve(import.meta.dirname, '..');

export function readLines(file: string): string[] {
  return readFileSync(file, 'utf8').trim().split('\n');
}

const quickstart = path.join(root, 'examples/quickstart');
export const QUICKSTART_ROWS = readLines(path.join(quickstart, 'train.jsonl'));
/** The bundled model with the quickstart's held-out rows. */
export const BUNDLED = {
  model: path.join(root, 'examples/base-model/peft-studio-tiny'),
  held: readLines(path.join(quickstart, 'validation.jsonl')),
};

/** `OUT.md [--seeds 3] [--groups 1,4] [--only TEXT]` and options of a script's own, each with a value. */
export function groupArguments(own: readonly string[]): {
  readonly file: GroupsFile;
  readonly own: Readonly<Record<string, string | undefined>>;
} {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      seeds: { type: 'string', default: '3' },
      groups: { type: 'string' },
      only: { type: 'string', default: '' },
      ...Object.fromEntries(own.map((name) => [name, { type: 'string' as const }])),
    },
  });
  const [out] = positionals;
  if (out === undefined) throw new Error('name the file to write');
  const seeds = Array.from({ length: Number(values.seeds) }, (_, at) => at + 1);
  const found: Readonly<Record<string, unknown>> = values;
  const text = (name: string): string | undefined => {
    const value = found[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    file: { out, seeds, chosen: values.groups, only: values.only },
    own: Object.fromEntries(own.map((name) => [name, text(name)])),
  };
}

/** The mean, the least and the most. */
export function span(found: readonly number[], digits: number): string {
  const mean = found.reduce((sum, each) => sum + each, 0) / found.length;
  const text = (value: number): string => value.toFixed(digits);
  const [least, most] = [Math.min(...found), Math.max(...found)];
  return found.length === 1 ? text(mean) : `${text(mean)} (${text(least)}–${text(most)})`;
}

/** What was ever measured: by group and entry, the metrics of each seed. */
type Known = Record<string, Record<string, readonly Metrics[]>>;

/**
 * Measures groups, entry by entry, and writes the tables of all that was ever measured after each group. An entry that fails is
 * told on standard error, and the others go on.
 */
export async function measureGroups(
  { out, seeds, chosen, only }: GroupsFile,
  groups: readonly Group[],
  heading: string,
  intro: string,
): Promise<void> {
  const raw = out.replace(/\.md$/, '.json');
  const known = (): Known => (existsSync(raw) ? (JSON.parse(readFileSync(raw, 'utf8')) as Known) : {});
  const wanted = chosen?.split(',').flatMap((number) => groups[Number(number) - 1] ?? []) ?? groups;
  for (const { title, columns, entries } of wanted) {
    for (const { name, measure } of entries.filter((entry) => entry.name.includes(only))) {
      const found: Metrics[] = [];
      try {
        for (const seed of seeds) found.push(await measure(seed));
      } catch (error) {
        // The others are worth their time.
        process.stderr.write(`${title}: ${name}: ${String(error)}\n`);
        continue;
      }
      const before = known();
      const after = { ...before, [title]: { ...before[title], [name]: found } };
      writeFileSync(raw, `${JSON.stringify(after, undefined, 2)}\n`);
      process.stdout.write(`${name}: ${columns.map((column) => cell(found, column)).join(', ')}\n`);
    }
    writeFileSync(out, report(groups, known(), heading, intro));
  }
  if (wanted.length === 0) writeFileSync(out, report(groups, known(), heading, intro));
}

function cell(found: readonly Metrics[], { key, digits, factor = 1 }: Column): string {
  const numbers = found.flatMap((each) => (each[key] === undefined ? [] : [each[key] * factor]));
  return numbers.length === 0 ? '' : span(numbers, digits);
}

function report(groups: readonly Group[], known: Known, heading: string, intro: string): string {
  const sections = groups.flatMap(({ title, note, columns, entries }) => {
    const lines = entries.flatMap(({ name }) => {
      const found = known[title]?.[name];
      return found === undefined
        ? []
        : [`| ${[name, ...columns.map((column) => cell(found, column))].join(' | ')} |`];
    });
    if (lines.length === 0) return [];
    return [
      [
        `## ${title}`,
        '',
        ...(note === undefined ? [] : [note, '']),
        `| ${['', ...columns.map((column) => column.title)].join(' | ')} |`,
        `|${'---|'.repeat(columns.length + 1)}`,
        ...lines,
      ].join('\n'),
    ];
  });
  return `${[`# ${heading}`, intro, ...sections].join('\n\n')}\n`;
}
