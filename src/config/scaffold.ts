import type { TSchema } from '@sinclair/typebox';
import { stringify } from 'yaml';
import type { MethodInfo } from '../methods/info.js';
import { METHODS } from '../methods/registry.js';
import type { MethodType } from '../methods/registry.js';
import { RunFile, TrainingOptions } from './schema.js';
import { shapeOf } from './shape.js';

/** Where comments are broken, indentation included. */
const COMMENT_WIDTH = 100;

/**
 * Learning rates to start from where the schema's default, made for adapters, does not suit a method or its family: whole
 * weights change by less at a time.
 */
const LEARNING_RATES: Readonly<Record<string, number>> = { full: 2e-5, lisa: 2e-5 };

/**
 * Ranks whose default is made for widths of 512 and more, with the part of a model's width that they are at most: GaLore's paper
 * takes a quarter to a half of it, ReLoRA's up to a sixth.
 */
const WIDE_RANKS: Readonly<Record<string, { readonly option: string; readonly part: number }>> = {
  galore: { option: 'rank', part: 4 },
  relora: { option: 'r', part: 8 },
};

/** The learning rate to start from with a method: the scaffold's. */
export function usualRate(method: Pick<MethodInfo, 'type' | 'family'>): number {
  return ownRate(method) ?? Number(TrainingOptions.properties.learning_rate.default);
}

function ownRate({ type, family }: Pick<MethodInfo, 'type' | 'family'>): number | undefined {
  return LEARNING_RATES[type] ?? LEARNING_RATES[family];
}

/** Sections that every run file has. */
const NEEDED: ReadonlySet<string> = new Set(RunFile.required);

/** What methods that guide others are listed after. */
export const GUIDED: MethodType = 'lora';

/**
 * A commented run file: the given model, data and method, every other option at its default (options without a
 * default are commented out). A method that guides others comes in a list, behind one to guide. It passes the checks as
 * it stands. `model` and `train` are written as given, so they are to be relative to the new file or absolute.
 *
 * @param choice.width the model's hidden size, where it is known: ranks that are too high for it are lowered
 */
export function scaffoldRunFile(choice: {
  readonly model: string;
  readonly train: string | readonly string[];
  readonly method: MethodType;
  readonly width?: number | undefined;
}): string {
  const method = infoOf(choice.method);
  const given = new Map<string, unknown>([
    ['model', choice.model],
    ['data.train', choice.train],
  ]);
  const rate = ownRate(method);
  if (rate !== undefined) given.set('training.learning_rate', rate);
  const wide = WIDE_RANKS[choice.method];
  if (wide !== undefined && choice.width !== undefined) {
    const usual = Number(method.options.properties[wide.option]?.default);
    given.set(`method.${wide.option}`, Math.max(1, Math.min(usual, Math.floor(choice.width / wide.part))));
  }
  const lines = Object.entries(RunFile.properties).flatMap(([key, schema]) => {
    if (key !== 'method') return property(key, schema, [], given, true);
    if ('guides' in method) return methodList([infoOf(GUIDED), method], schema.description);
    const described = { ...method.options, description: `${schema.description} ${headingOf(method)}` };
    return property(key, described, [], new Map([...given, ['method.type', method.type]]), true);
  });
  return `${lines.join('\n').trimEnd()}\n`;
}

function infoOf(type: MethodType): MethodInfo {
  const method = METHODS.find((each) => each.type === type);
  if (!method) throw new Error(`No method is called ${type}.`);
  return method;
}

/** What the method does and where it comes from. */
function headingOf({ title, summary, paper }: MethodInfo): string {
  const arxiv = paper.arxiv === undefined ? '' : `, arXiv:${paper.arxiv}`;
  return `${title}: ${summary} ${paper.authors} (${paper.year}), ${paper.title}${arxiv}.`;
}

/** Several methods as a list in block style. */
function methodList(methods: readonly MethodInfo[], description: string | undefined): string[] {
  const items = methods.flatMap((method, at) => {
    const above = ['method', String(at)];
    const given = new Map([[[...above, 'type'].join('.'), method.type]]);
    const { type, ...options } = method.options.properties;
    const [first = '', ...others] = [
      ...property('type', { ...type!, description: undefined }, above, given, true),
      ...Object.entries(options).flatMap(([name, schema]) => property(name, schema, above, given, true)),
    ];
    return [...comments(headingOf(method), '  '), first.replace('    ', '  - '), ...others];
  });
  return [...comments(description, ''), 'method:', ...items, ''];
}

function property(
  key: string,
  schema: TSchema,
  above: readonly string[],
  given: ReadonlyMap<string, unknown>,
  live: boolean,
): string[] {
  const path = [...above, key];
  const indent = '  '.repeat(above.length);
  const mark = live ? '' : '# ';
  const comment = comments(schema.description, indent);
  const shape = shapeOf(schema);
  if (shape.kind === 'object') {
    const inner = Object.entries(shape.schema.properties);
    const needed = above.length === 0 && NEEDED.has(key);
    const shown = live && (needed || schema.default !== undefined);
    const body = inner.flatMap(([name, below]) => property(name, below, path, given, shown));
    return [...comment, `${indent}${shown ? '' : '# '}${key}:`, ...body, ...(above.length === 0 ? [''] : [])];
  }
  const value = given.get(path.join('.')) ?? schema.default;
  const gap = above.length === 0 ? [''] : [];
  if (value === undefined) return [...comment, `${indent}# ${key}:`, ...gap];
  return [...comment, `${indent}${mark}${key}: ${flow(value)}`, ...gap];
}

/** One line of YAML that reads back as the value; JSON's escapes keep line breaks within it. */
function flow(value: unknown): string {
  const json = JSON.stringify(value);
  if (json.includes('\\n')) return json;
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trimEnd();
}

function comments(text: string | undefined, indent: string): string[] {
  const lines: string[] = [];
  for (const word of (text ?? '').split(/\s+/).filter(Boolean)) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > COMMENT_WIDTH) lines.push(`${indent}# ${word}`);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}
