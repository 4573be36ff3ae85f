import type { TSchema } from '@sinclair/typebox';
import { stringify } from 'yaml';
import { METHODS } from '../methods/registry.js';
import type { MethodType } from '../methods/registry.js';
import { RunFile } from './schema.js';
import { shapeOf } from './shape.js';

/** Where comments are broken, indentation included. */
const COMMENT_WIDTH = 100;

/** Learning rates to start from where the schema's default, made for adapters, does not suit the family. */
const LEARNING_RATES: Readonly<Record<string, number>> = { full: 2e-5 };

/**
 * A commented run file: the given model, data and method, every other option at its default (options without a
 * default are commented out). It passes the checks as it stands. `model` and `train` are written as given, so they
 * are to be relative to the new file or absolute.
 */
export function scaffoldRunFile(choice: {
  readonly model: string;
  readonly train: string | readonly string[];
  readonly method: MethodType;
}): string {
  const method = METHODS.find(({ type }) => type === choice.method);
  if (!method) throw new Error(`No method is called ${choice.method}.`);
  const { title, summary, paper } = method;
  const given = new Map<string, unknown>([
    ['model', choice.model],
    ['data.train', choice.train],
    ['method.type', choice.method],
  ]);
  const rate = LEARNING_RATES[method.family];
  if (rate !== undefined) given.set('training.learning_rate', rate);
  const arxiv = 'arxiv' in paper ? `, arXiv:${paper.arxiv}` : '';
  const heading = `${title}: ${summary} ${paper.authors} (${paper.year}), ${paper.title}${arxiv}.`;
  const lines = Object.entries(RunFile.properties).flatMap(([key, schema]) => {
    const text = key === 'method' ? `${schema.description} ${heading}` : schema.description;
    return property(key, key === 'method' ? { ...method.options, description: text } : schema, [], given, true);
  });
  return `${lines.join('\n').trimEnd()}\n`;
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
    const shown = live && (above.length === 0 || schema.default !== undefined);
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
