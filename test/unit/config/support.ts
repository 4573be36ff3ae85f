import assert from 'node:assert/strict';
import type { Problem } from '../../../src/common/problem.js';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import type { RunConfig } from '../../../src/config/schema.js';

export const FILE = '/work/a.peft.yaml';

/** The smallest run file, with the method's options and further text put in. */
export function runText(methodOptions = '', rest = ''): string {
  return `model: ./base\ndata:\n  train: rows.jsonl\nmethod:\n  type: lora\n${methodOptions}${rest}`;
}

export function problemsOf(text: string, overrides: string[] = []): readonly Problem[] {
  return parseRunFile(text, FILE, overrides).problems;
}

export function configOf(text: string, overrides: string[] = []): RunConfig {
  const { config, problems } = parseRunFile(text, FILE, overrides);
  assert.ok(config, JSON.stringify(problems, null, 2));
  return config;
}

/** The one problem of a text. */
export function onlyProblem(text: string, overrides: string[] = []): Problem {
  const problems = problemsOf(text, overrides);
  assert.equal(problems.length, 1, JSON.stringify(problems, null, 2));
  const [problem] = problems;
  assert.ok(problem);
  return problem;
}

/** `line:column-endLine:endColumn` */
export function span({ where }: Problem): string {
  return `${where?.line}:${where?.column}-${where?.endLine}:${where?.endColumn}`;
}
