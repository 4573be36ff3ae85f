import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { fail, isError } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { METHODS } from '../../methods/registry.js';
import { parseDataId, parseModelId } from '../../models/hub/ids.js';
import { parseRunFile } from '../parseRunFile.js';
import { readYaml } from '../readYaml.js';
import { plainValue } from '../tree.js';
import type { MapNode } from '../tree.js';
import { TOOLS, detectTool } from './detect.js';
import type { Tool } from './detect.js';
import { emptyDraft, leave, set } from './rules.js';
import type { Draft, Left, LeftKind } from './rules.js';
import { runFileText } from './runFileText.js';

/** A run file made of another tool's config. */
export interface Imported {
  /** `Axolotl` */
  readonly tool: string;
  /** Of the run file: YAML that passes the checks of its form; what has no counterpart stands in comments on top. */
  readonly text: string;
  /** How many settings were carried over. */
  readonly carried: number;
  readonly left: readonly Left[];
  /** What to look at, though it was carried over; sentences. */
  readonly notes: readonly string[];
}

export interface ImportOptions {
  /** The folder that the run file will be in; relative paths are written from there. Default: that of the config. */
  readonly folder?: string;
  /** The file of a data set that LLaMA-Factory knows by name, from the config's folder on. */
  readonly datasetFile?: (name: string) => string | undefined;
}

/** What a run file needs and a config may not have. */
const MISSING: Readonly<Record<string, { readonly value: string; readonly note: string }>> = {
  model: {
    value: 'base-model',
    note: 'No base model is named: write its folder, GGUF file or hub id as `model`.',
  },
  'data.train': { value: 'train.jsonl', note: 'No training data are named: write your file as `data.train`.' },
};

/** How often values that do not pass the checks are taken out: each time at least one is. */
const MOST_ROUNDS = 100;

/**
 * Makes a run file of an `adapter_config.json` of Hugging Face PEFT, or of the YAML of Axolotl or LLaMA-Factory. Every
 * setting is carried over or listed with its line and a reason.
 * @param text of the config, whose path is `file`
 * @throws ProblemError `config.*` when it is not YAML, `config.import` when it is of no tool that is known
 */
export function importConfig(text: string, file: string, options: ImportOptions = {}): Imported {
  const root = rootOf(text, file);
  const tool = detectTool(root);
  if (tool === undefined) return unknownTool(file);
  const draft = emptyDraft();
  carryOver(root, tool, draft, options);
  tool.defaults(draft);
  joinRevision(draft);
  relocate(draft, path.dirname(file), options.folder ?? path.dirname(file));
  dropForeignOptions(draft);
  for (const [key, { value, note }] of Object.entries(MISSING)) {
    if (draft.values.has(key)) continue;
    set(draft, key, value);
    draft.notes.push(note);
  }
  settle(draft, file);
  return {
    tool: tool.name,
    text: runFileText(draft, tool.name, path.basename(file)),
    carried: [...draft.values.keys()].filter((key) => draft.sources.has(key)).length,
    left: sorted(draft.left),
    notes: draft.notes,
  };
}

function rootOf(text: string, file: string): MapNode {
  const { root, problems } = readYaml(text, file);
  const error = problems.find(isError);
  if (error !== undefined) return fail(error);
  return root?.kind === 'map' ? root : unknownTool(file);
}

function unknownTool(file: string): never {
  return fail({
    code: 'config.import',
    message: l10n.t`this is no config that can be carried over`,
    where: { file },
    expected: TOOLS.map(({ name, mark }) => l10n.t`${name} (with the key ${mark})`).join(l10n.t`, or `),
    mend: l10n.t`Choose an adapter_config.json, or the YAML file that Axolotl or LLaMA-Factory trains with.`,
  });
}

function carryOver(root: MapNode, tool: Tool, draft: Draft, { datasetFile }: ImportOptions): void {
  const plain = plainValue(root);
  const all = typeof plain === 'object' && plain !== null ? { ...plain } : {};
  const source = { all, tool: tool.name, ...(datasetFile && { datasetFile }) };
  for (const entry of root.entries) {
    const rule = Object.hasOwn(tool.rules, entry.key) ? tool.rules[entry.key] : undefined;
    if (rule !== undefined) rule(entry, draft, source);
    else leave(draft, entry, 'result', `PEFT Studio does not know this setting of ${tool.name}`);
  }
}

/** A revision is a part of the model's id here. */
function joinRevision(draft: Draft): void {
  const revision = draft.values.get('model_revision');
  const model = draft.values.get('model');
  draft.values.delete('model_revision');
  if (typeof revision !== 'string' || typeof model !== 'string') return;
  const id = `${model}@${revision}`;
  const entry = draft.sources.get('model_revision');
  if (parseModelId(id) !== undefined) draft.values.set('model', id);
  else if (entry) leave(draft, entry, 'result', 'only a model of the hub has a revision');
}

/** Paths that start at the config's folder start at the run file's. Ids of the hub stay as they are. */
function relocate(draft: Draft, from: string, folder: string): void {
  const move = (text: string, isId: boolean): string =>
    isId || path.isAbsolute(text) || from === folder
      ? text
      : path.relative(folder, path.resolve(from, text)).split(path.sep).join('/');
  const model = draft.values.get('model');
  if (typeof model === 'string') draft.values.set('model', move(model, parseModelId(model) !== undefined));
  for (const key of ['data.train', 'data.validation']) {
    const value = draft.values.get(key);
    const moved = (text: unknown): unknown =>
      typeof text === 'string' ? move(text, parseDataId(text) !== undefined) : text;
    if (value !== undefined) draft.values.set(key, Array.isArray(value) ? value.map(moved) : moved(value));
  }
}

/** Options that the method does not have. */
function dropForeignOptions(draft: Draft): void {
  const type = draft.values.get('method.type');
  const method = METHODS.find((each) => each.type === type);
  for (const key of [...draft.values.keys()].filter((each) => each.startsWith('method.'))) {
    const option = key.slice('method.'.length);
    if (method === undefined || Object.hasOwn(method.options.properties, option)) continue;
    takeOut(draft, key, `the method ${method.type} has no such option`);
  }
}

/** Takes out what the run file's own checks refuse, and says why. */
function settle(draft: Draft, file: string): void {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const { problems, placeOf } = parseRunFile(runFileText(draft, '', ''), file);
    const errors = problems.filter(isError);
    if (errors.length === 0) return;
    const wrong = [...draft.values.keys()].find((key) =>
      errors.some(({ where }) => where?.line !== undefined && coversLine(placeOf, key, where.line)),
    );
    if (wrong === undefined) fail({ ...errors[0]!, where: { file } });
    takeOut(draft, wrong, reasonOf(errors.find(({ where }) => coversLine(placeOf, wrong, where?.line ?? 0))!));
  }
}

/** Each value stands in lines of its own. */
function coversLine(placeOf: ReturnType<typeof parseRunFile>['placeOf'], key: string, line: number): boolean {
  const steps = key.split('.');
  const [start, end] = [placeOf(steps, 'key').line ?? 0, placeOf(steps).endLine ?? 0];
  return start <= line && line <= Math.max(start, end);
}

function reasonOf({ message, expected }: Problem): string {
  return expected === undefined ? message : `${message}; expected ${expected}`;
}

/** Without an entry of its own, it was our addition: nothing is lost. */
function takeOut(draft: Draft, key: string, reason: string): void {
  const entry = draft.sources.get(key);
  draft.values.delete(key);
  draft.defaults.delete(key);
  if (entry) leave(draft, entry, 'result', reason);
  const missing = MISSING[key];
  if (missing === undefined) return;
  set(draft, key, missing.value);
  draft.notes.push(missing.note);
}

const ORDER: readonly LeftKind[] = ['result', 'speed', 'off', 'other'];

function sorted(left: readonly Left[]): Left[] {
  return [...left].sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind) || (a.line ?? 0) - (b.line ?? 0));
}
