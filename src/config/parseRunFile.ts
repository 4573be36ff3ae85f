import { Value } from '@sinclair/typebox/value';
import * as l10n from '@vscode/l10n';
import { boundedProblem, isError } from '../common/problem.js';
import type { Place, Problem } from '../common/problem.js';
import { checkProperties } from './check.js';
import { crossCheck } from './crossChecks.js';
import { deepFreeze } from './freeze.js';
import { applyOverrides } from './overrides.js';
import { readYaml } from './readYaml.js';
import { RunFile, TrainingOptions } from './schema.js';
import type { RunConfig } from './schema.js';
import { describeNode, placeAt } from './tree.js';
import type { ConfigPath, MapNode } from './tree.js';

/** As many as somebody reads; how many more there are is said. */
const MAX_PROBLEMS = 100;

export interface ParsedRunFile {
  /** Absent when a problem is an error. */
  readonly config?: RunConfig;
  /** Errors and warnings, in the order of the file, those of overrides last. */
  readonly problems: readonly Problem[];
  /** The content with places, overrides applied; absent when the file is not YAML at all. */
  readonly tree?: MapNode;
  /** Where a key or value stands, or the nearest thing above it. */
  readonly placeOf: (path: ConfigPath, part?: 'key' | 'value') => Place;
}

/**
 * Reads the text of a run file (YAML or JSON), with overrides (`a.b=c`) applied first, checks it and fills in
 * defaults. Never throws on what the text holds: everything wrong is a problem with its place. Nothing on disk is
 * looked at (see `loadRunFile`).
 */
export function parseRunFile(text: string, file: string, overrides: readonly string[] = []): ParsedRunFile {
  const start: Place = { file, line: 1, column: 1, endLine: 1, endColumn: 1 };
  const { root, problems } = readYaml(text, file);
  if (!root) return { problems: capped(problems, file), placeOf: () => start };
  const empty = root.kind === 'scalar' && root.value === null;
  if (root.kind !== 'map' && !empty) {
    problems.push({
      code: 'config.wrong-type',
      message: l10n.t`the run file is ${describeNode(root)}`,
      where: root.at,
      expected: l10n.t`a mapping with the keys \`model\`, \`data\`, \`method\`, …`,
    });
    return { problems, placeOf: () => start };
  }
  const map: MapNode = root.kind === 'map' ? root : { kind: 'map', at: start, entries: [] };
  const { root: tree, problems: overrideProblems } = applyOverrides(map, overrides);
  problems.push(...overrideProblems);
  const placeOf: ParsedRunFile['placeOf'] = (path, part) => placeAt(tree, path, part);

  const checking = { path: [], section: '', holder: start, top: RunFile, problems };
  const { values, complete } = checkProperties(RunFile, tree, checking);
  const { method } = values;
  if (method !== undefined) values['method'] = Array.isArray(method) ? method : [method];
  problems.push(...crossCheck(draftOf(values), placeOf));

  problems.sort((a, b) => order(a, file) - order(b, file));
  const failed = problems.some(isError);
  if (failed) return { problems: capped(problems, file), tree, placeOf };
  if (!complete || !isRunConfig(values))
    throw new Error('A run file passed the checks without fitting the schema.');
  return { config: deepFreeze(values), problems: capped(problems, file), tree, placeOf };
}

function capped(problems: readonly Problem[], file: string): readonly Problem[] {
  const rest = problems.length - MAX_PROBLEMS;
  const shown = problems.slice(0, MAX_PROBLEMS).map(boundedProblem);
  if (rest <= 0) return shown;
  const severity = problems.slice(MAX_PROBLEMS).every((problem) => problem.severity === 'warning')
    ? 'warning'
    : 'error';
  const message = l10n.t`there are ${rest} more problems`;
  const more: Problem = { code: 'config.more-problems', severity, message, where: { file } };
  return [...shown, more];
}

/** The checked sections, narrowed by TypeBox's own check of the same schemas. */
function draftOf(values: Record<string, unknown>): Parameters<typeof crossCheck>[0] {
  const { data, method, output, proxy_tuning: proxy } = RunFile.properties;
  return {
    ...(Value.Check(data, values['data']) ? { data: values['data'] } : {}),
    ...(Value.Check(method, values['method']) && Array.isArray(values['method'])
      ? { method: values['method'] }
      : {}),
    ...(Value.Check(TrainingOptions, values['training']) ? { training: values['training'] } : {}),
    ...(values['proxy_tuning'] !== undefined && Value.Check(proxy, values['proxy_tuning'])
      ? { proxy_tuning: values['proxy_tuning'] }
      : {}),
    ...(Value.Check(output, values['output']) ? { output: values['output'] } : {}),
  };
}

function isRunConfig(values: unknown): values is RunConfig {
  return Value.Check(RunFile, values) && Array.isArray(values.method);
}

function order({ where }: Problem, file: string): number {
  if (where?.file !== file) return Number.MAX_SAFE_INTEGER;
  // A line is never longer than the file's limit of a million bytes.
  return (where.line ?? 0) * 2 ** 20 + (where.column ?? 0);
}
