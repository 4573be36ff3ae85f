import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { pathKind } from '../../common/files.js';

/** A model on the hub: a repository, or one GGUF file in it. */
export interface ModelId {
  /** `org/name`. */
  readonly repo: string;
  /** Branch, tag or commit; without it, the hub's `main`. */
  readonly revision?: string;
  readonly file?: string;
}

/** A split of a data set on the hub. */
export interface DataId {
  /** `org/name`. */
  readonly repo: string;
  readonly revision?: string;
  readonly config?: string;
  readonly split?: string;
}

const NAME = String.raw`\w(?:[\w.-]{0,94}\w)?`;
const REPO = `(?<repo>${NAME}/${NAME})`;
/** Branches with a slash are written with `%2F`, but for the hub's own `refs/…`. */
const REVISION = String.raw`(?:@(?<revision>refs/(?:pr|convert)/\w+|\w[\w.%-]*))?`;
const REFS = /^refs\/(?:pr|convert)\/\w+$/;
const MODEL = new RegExp(`^${REPO}${REVISION}(?:/(?<file>(?:${NAME}/)*${NAME}\\.gguf))?$`, 'i');
const DATA = new RegExp(`^${REPO}${REVISION}(?:/(?<config>\\w[\\w.+-]*))?(?::(?<split>\\w[\\w.-]*))?$`);

/** Endings of files: a text with one is meant as a path. */
const FILE_ENDING =
  /\.(?:gguf|safetensors|bin|pt|pth|ckpt|onnx|jsonl?|ndjson|csv|tsv|txt|parquet|ya?ml|gz|zip|zst)$/i;

/**
 * Reads `org/name`, `org/name@revision`, `org/name/file.gguf` or `org/name@revision/file.gguf`; undefined where the
 * text is something else, such as a path with a file's ending. Names are those that huggingface_hub allows.
 */
export function parseModelId(text: string): ModelId | undefined {
  const { repo, revision, file } = MODEL.exec(text)?.groups ?? {};
  if (repo === undefined || !isRepoName(repo) || (file === undefined && FILE_ENDING.test(text))) return undefined;
  return { repo, ...(revision && { revision: decoded(revision) }), ...(file && { file }) };
}

/** Writes an id as {@link parseModelId} reads it. */
export function modelIdText({ repo, revision, file }: ModelId): string {
  const named = revision === undefined || REFS.test(revision) ? revision : revision.replaceAll('/', '%2F');
  return `${repo}${named === undefined ? '' : `@${named}`}${file === undefined ? '' : `/${file}`}`;
}

/** Reads `org/name`, with `@revision`, `/config` and `:split` behind it where they are given, in this order. */
export function parseDataId(text: string): DataId | undefined {
  const { repo, revision, config, split } = DATA.exec(text)?.groups ?? {};
  if (repo === undefined || !isRepoName(repo) || FILE_ENDING.test(text)) return undefined;
  return {
    repo,
    ...(revision && { revision: decoded(revision) }),
    ...(config && { config }),
    ...(split && { split }),
  };
}

/** The model id that a text is, unless it is a path seen from `folder`: {@link isPathAt}. */
export async function modelIdAt(text: string, folder: string): Promise<ModelId | undefined> {
  const id = parseModelId(text);
  return id !== undefined && !(await isPathAt(text, id, folder)) ? id : undefined;
}

/** The data id that a text is, unless it is a path seen from `folder`: {@link isPathAt}. */
export async function dataIdAt(text: string, folder: string): Promise<DataId | undefined> {
  const id = parseDataId(text);
  return id !== undefined && !(await isPathAt(text, id, folder)) ? id : undefined;
}

/**
 * Whether a text that could be an id is a path all the same: something is there, or its first folder is, so that
 * what is missing is missing in it. Naming a revision says that an id is meant.
 */
async function isPathAt(text: string, id: { repo: string; revision?: string }, folder: string): Promise<boolean> {
  if ((await pathKind(path.resolve(folder, text))) !== 'nothing') return true;
  if (id.revision !== undefined) return false;
  return (await pathKind(path.resolve(folder, id.repo.split('/')[0]!))) === 'folder';
}

/** What huggingface_hub refuses in a repository's name besides what the pattern does. */
function isRepoName(repo: string): boolean {
  return !repo.includes('--') && !repo.includes('..') && !repo.endsWith('.git');
}

function decoded(revision: string): string {
  return revision.replace(/%2F/gi, '/');
}

/** How to write a missing path as an id, for messages. */
export const idForm = (): string =>
  l10n.t`a hub id is written \`org/name\`, or \`org/name@revision\` where a folder \`org\` is in the way`;
