import * as l10n from '@vscode/l10n';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { pathKind } from '../common/files.js';
import { nearestName } from '../common/nearest.js';
import { problemOf } from '../common/problem.js';
import type { Place, Problem } from '../common/problem.js';
import { dataIdAt, modelIdAt, parseDataId, parseModelId } from '../models/hub/ids.js';
import { nodeAt } from './tree.js';
import type { ConfigNode, MapNode } from './tree.js';

/** Extensions of single weight files, which are not models by themselves. */
const WEIGHT_FILE = /\.(safetensors|bin|pt|pth|ckpt|onnx)$/i;

/**
 * Checks that what a run file names is on disk and of the right kind. Relative paths start at `folder`. Ids of the
 * hub are not asked for: that takes the network.
 */
export async function checkPaths(tree: MapNode, folder: string): Promise<Problem[]> {
  const at = (...keys: string[]): ConfigNode | undefined => nodeAt(tree, keys);
  const train = at('data', 'train');
  const data = [...(train?.kind === 'list' ? train.items : [train]), at('data', 'validation')];
  const found = await Promise.all([
    ...texts([at('model')]).map((each) => checked(checkModel, each, folder)),
    ...texts(data).map((each) => checked(checkDataFile, each, folder)),
    ...texts([at('output', 'dir')]).map((each) => checked(checkOutput, each, folder)),
  ]);
  return found.filter((problem) => problem !== undefined);
}

/** A check; what the file system refuses to tell (a folder that one may not enter, links in a circle) is a problem too. */
async function checked(
  check: (text: string, where: Place, folder: string) => Promise<Problem | undefined>,
  [text, where]: readonly [string, Place],
  folder: string,
): Promise<Problem | undefined> {
  try {
    return await check(text, where, folder);
  } catch (error) {
    return { ...problemOf(error), where };
  }
}

/** The values that are paths at all; what else stands there is reported by the check of the schema. */
function texts(nodes: readonly (ConfigNode | undefined)[]): (readonly [string, Place])[] {
  return nodes.flatMap((node) =>
    node?.kind === 'scalar' && typeof node.value === 'string' && node.value !== ''
      ? [[node.value, node.at] as const]
      : [],
  );
}

async function checkModel(text: string, where: Place, folder: string): Promise<Problem | undefined> {
  const target = path.resolve(folder, text);
  if ((await modelIdAt(text, folder)) !== undefined) return undefined;
  const kind = await pathKind(target);
  if (kind === 'folder' || (kind === 'file' && /\.gguf$/i.test(target))) return undefined;
  const expected = l10n.t`a folder with \`config.json\` and safetensors, a \`.gguf\` file, or the id of a model in the Hugging Face hub`;
  if (kind === 'file') {
    return {
      code: 'config.not-a-model',
      message: l10n.t`the model \`${text}\` is a file, not a folder`,
      where,
      expected,
      mend: WEIGHT_FILE.test(target)
        ? l10n.t`Name the folder that holds it: \`${path.dirname(text)}\`.`
        : l10n.t`Name the model's folder.`,
    };
  }
  const problem = await missing(text, where, folder, /\.gguf$/i.test(text) ? 'model file' : 'model folder');
  return { ...problem, expected, mend: withId(problem.mend, parseModelId(text)?.repo) };
}

async function checkDataFile(text: string, where: Place, folder: string): Promise<Problem | undefined> {
  if ((await dataIdAt(text, folder)) !== undefined) return undefined;
  const kind = await pathKind(path.resolve(folder, text));
  if (kind === 'file') return undefined;
  if (kind === 'nothing') {
    const problem = await missing(text, where, folder, 'data file');
    return { ...problem, mend: withId(problem.mend, parseDataId(text)?.repo) };
  }
  return {
    code: 'config.not-a-file',
    message: l10n.t`the data file \`${text}\` is a folder`,
    where,
    mend: l10n.t`Name the file in it, or a list of files.`,
  };
}

/** Adds how to say that the hub's repository is meant, where a missing path could be one: see `isPathAt`. */
function withId(mend: string | undefined, repo: string | undefined): string | undefined {
  if (repo === undefined) return mend;
  return [mend, l10n.t`If the hub's ${repo} is meant, write \`${repo}@main\`.`].filter(Boolean).join(' ');
}

/** The folder of the runs is made when it is missing, so only a file in its way is a problem. */
async function checkOutput(text: string, where: Place, folder: string): Promise<Problem | undefined> {
  const { existing, kind } = await nearestExisting(path.resolve(folder, text));
  if (kind === 'folder') return undefined;
  return {
    code: 'config.not-a-folder',
    message: l10n.t`no folder \`${text}\` can be made: \`${existing}\` is a file`,
    where,
    mend: l10n.t`Choose another \`output.dir\`.`,
  };
}

const MISSING = {
  'model file': (text: string) => l10n.t`the model file \`${text}\` was not found`,
  'model folder': (text: string) => l10n.t`the model folder \`${text}\` was not found`,
  'data file': (text: string) => l10n.t`the data file \`${text}\` was not found`,
} as const;

async function missing(text: string, where: Place, folder: string, what: keyof typeof MISSING): Promise<Problem> {
  const target = path.resolve(folder, text);
  const { existing, missingName } = await nearestExisting(target);
  const siblings = await readdir(existing).catch(() => []);
  const near = nearestName(missingName, siblings);
  const whole = path.dirname(target) === existing;
  return {
    code: what === 'model folder' ? 'config.folder-not-found' : 'config.file-not-found',
    message: whole
      ? MISSING[what](text)
      : l10n.t`${MISSING[what](text)}: \`${existing}\` has no \`${missingName}\``,
    where,
    mend:
      near !== undefined
        ? l10n.t`Did you mean \`${path.join(existing, near)}\`?`
        : text.startsWith('~')
          ? l10n.t`\`~\` is not written out: write the whole path.`
          : l10n.t`Relative paths start at the run file's folder, \`${folder}\`.`,
  };
}

/** The deepest part of a path that is on disk, and the name in it that is not. */
async function nearestExisting(
  target: string,
): Promise<{ existing: string; kind: 'file' | 'folder'; missingName: string }> {
  let missingName = '';
  let existing = target;
  for (;;) {
    const kind = await pathKind(existing);
    const parent = path.dirname(existing);
    if (kind !== 'nothing') return { existing, kind, missingName };
    if (parent === existing) return { existing, kind: 'folder', missingName };
    missingName = path.basename(existing);
    existing = parent;
  }
}
