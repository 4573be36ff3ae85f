import { stringify } from 'yaml';
import type { Draft, Left, LeftKind } from './rules.js';

/** The sections of a run file, in its order. */
const SECTIONS = ['model', 'data', 'method', 'training', 'output'];

const TITLES: Readonly<Record<LeftKind, string>> = {
  result: 'Without a counterpart; the result may differ:',
  speed: 'Without a counterpart; only speed or memory:',
  off: 'Off there:',
  other: 'Not needed here:',
};

/** The run file of a draft: on top what it comes from and what is not in it. */
export function runFileText({ values, defaults, left, notes }: Draft, tool: string, file: string): string {
  const header = [
    `Made from ${file} (${tool}).`,
    ...notes,
    ...(['result', 'speed', 'off', 'other'] as const).flatMap((kind) => {
      const listed = left.filter((each) => each.kind === kind);
      return listed.length === 0 ? [] : ['', TITLES[kind], ...listed.map((each) => `  ${leftText(each)}`)];
    }),
  ];
  const body = SECTIONS.flatMap((section) => {
    const own = [...values].filter(([key]) => key === section || key.startsWith(`${section}.`));
    if (own.length === 0) return [];
    return ['', ...sectionLines(section, own, defaults, tool)];
  });
  const comments = header.map((line) => `# ${oneLine(line)}`.trimEnd());
  return `${[...comments, ...body].join('\n')}\n`;
}

/** `line 12, load_in_4bit: true – the base keeps its own precision here`. */
export function leftText({ key, line, value, reason }: Left): string {
  const place = line === undefined ? '' : `line ${line}, `;
  return oneLine(`${place}${key}:${value === '' ? '' : ` ${value}`} – ${reason}`);
}

function sectionLines(
  section: string,
  own: readonly (readonly [string, unknown])[],
  defaults: ReadonlySet<string>,
  tool: string,
): string[] {
  const [only] = own;
  if (only !== undefined && only[0] === section) return [`${section}: ${flow(only[1])}`];
  const lines = [`${section}:`];
  // The type of a method comes first; the columns of the data stay together.
  const sorted = [...own].sort(([a], [b]) => Number(b === 'method.type') - Number(a === 'method.type'));
  const columns = sorted.filter(([key]) => key.startsWith('data.columns.'));
  for (const [key, value] of sorted.filter((each) => !columns.includes(each))) {
    const note = defaults.has(key) ? ` # the default of ${tool}` : '';
    lines.push(`  ${key.slice(section.length + 1)}: ${flow(value)}${note}`);
  }
  if (columns.length > 0) {
    lines.push('  columns:');
    for (const [key, value] of columns) lines.push(`    ${key.slice('data.columns.'.length)}: ${flow(value)}`);
  }
  return lines;
}

/** One line of YAML; JSON's escapes keep line breaks within it. */
function flow(value: unknown): string {
  const json = JSON.stringify(value);
  if (json.includes('\\n')) return json;
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trimEnd();
}

/** Values come out of files: a comment must not end in their middle. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ');
}
