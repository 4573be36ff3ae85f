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
  const expected =
    'a folder with `config.json` and safetensors, a `.gguf` file, or the id of a model in the Hugging Face hub';
  if (kind === 'file') {
    return {
      code: 'config.not-a-model',
      message: `the model \`${text}\` is a file, not a folder`,
      where,
      expected,
      mend: WEIGHT_FILE.test(target)
        ? `Name the folder that holds it: \`${path.dirname(text)}\`.`
        : "Name the model's folder.",
    };
  }
  const problem = await missing(text, where, folder, /\.gguf$/i.test(text) ? 'file' : 'folder', 'model');
  return { ...problem, expected, mend: withId(problem.mend, parseModelId(text)?.repo) };
}

async function checkDataFile(text: string, where: Place, folder: string): Promise<Problem | undefined> {
  if ((await dataIdAt(text, folder)) !== undefined) return undefined;
  const kind = await pathKind(path.resolve(folder, text));
  if (kind === 'file') return undefined;
  if (kind === 'nothing') {
    const problem = await missing(text, where, folder, 'file', 'data');
    return { ...problem, mend: withId(problem.mend, parseDataId(text)?.repo) };
  }
  return {
    code: 'config.not-a-file',
    message: `the data file \`${text}\` is a folder`,
    where,
    mend: 'Name the file in it, or a list of files.',
  };
}

/** Adds how to say that the hub's repository is meant, where a missing path could be one: see `isPathAt`. */
function withId(mend: string | undefined, repo: string | undefined): string | undefined {
  if (repo === undefined) return mend;
  return [mend, `If the hub's ${repo} is meant, write \`${repo}@main\`.`].filter(Boolean).join(' ');
}

/** The folder of the runs is made when it is missing, so only a file in its way is a problem. */
async function checkOutput(text: string, where: Place, folder: string): Promise<Problem | undefined> {
  const { existing, kind } = await nearestExisting(path.resolve(folder, text));
  if (kind === 'folder') return undefined;
  return {
    code: 'config.not-a-folder',
    message: `no folder \`${text}\` can be made: \`${existing}\` is a file`,
    where,
    mend: 'Choose another `output.dir`.',
  };
}

async function missing(
  text: string,
  where: Place,
  folder: string,
  kind: 'file' | 'folder',
  what: string,
): Promise<Problem> {
  const target = path.resolve(folder, text);
  const { existing, missingName } = await nearestExisting(target);
  const siblings = await readdir(existing).catch(() => []);
  const near = nearestName(missingName, siblings);
  const whole = path.dirname(target) === existing;
  return {
    code: `config.${kind}-not-found`,
    message: `the ${what} ${kind} \`${text}\` was not found${whole ? '' : `: \`${existing}\` has no \`${missingName}\``}`,
    where,
    mend:
      near !== undefined
        ? `Did you mean \`${path.join(existing, near)}\`?`
        : text.startsWith('~')
          ? '`~` is not written out: write the whole path.'
          : `Relative paths start at the run file's folder, \`${folder}\`.`,
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
