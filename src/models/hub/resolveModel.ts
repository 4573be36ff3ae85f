import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { pathKind } from '../../common/files.js';
import { isJsonObject } from '../../common/json.js';
import { fail } from '../../common/problem.js';
import { readJsonObject } from '../boundedJson.js';
import { TOKENIZERS, TOKENIZER_FILES } from '../loadTokenizer.js';
import { cachedFiles, snapshotFolder } from './cache.js';
import { named, pageOf, withHub } from './context.js';
import type { HubContext, HubOptions } from './context.js';
import { idForm, modelIdAt, parseModelId } from './ids.js';
import type { ModelId } from './ids.js';
import { filesAt } from './listing.js';
import type { HubFile } from './listing.js';
import { bringFiles, readRevision } from './snapshot.js';

const CONFIG = 'config.json';
const WEIGHTS = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
/** Beside the weights and the tokenizer's files; those that a repository has are brought. */
const COMPANIONS = ['generation_config.json', ...TOKENIZER_FILES];
/** One line per tensor: 100,000 tensors make about 10 MB. */
const MAX_INDEX_BYTES = 25 * 1024 * 1024;
const PICKLE = /\.(?:bin|pt|pth|ckpt|h5|msgpack)$/;

/** Where a model is on this machine. */
export interface ModelPlace {
  /** A folder or a GGUF file, absolute. */
  readonly place: string;
  /** What it is in the hub, with its commit as the revision; absent where a path was named. */
  readonly id?: ModelId;
}

/** {@link locateModel}'s folder or file. */
export async function resolveModel(source: string, options: HubOptions = {}): Promise<string> {
  return (await locateModel(source, options)).place;
}

/**
 * The folder or GGUF file on this machine that a model's name stands for: a path as it is; an id of the Hugging Face
 * hub (`org/name`, `org/name@revision`, `org/name/file.gguf`) after what is missing of it was downloaded into the
 * hub's cache, where Python finds it, too. Only what is read is downloaded: config, tokenizer, safetensors.
 *
 * A path that exists is never taken for an id. Errors: `checkpoint.folder-not-found` where the text is neither;
 * `hub.no-weights`, `hub.pickle`, `hub.gguf-file`, `hub.adapter`, `hub.no-tokenizer`, `hub.index`; `hub.stopped`;
 * `hub.offline`; and those of the network, each with what to do.
 */
export async function locateModel(source: string, options: HubOptions = {}): Promise<ModelPlace> {
  const folder = path.resolve(options.folder ?? '.');
  const id = await modelIdAt(source, folder);
  if (id === undefined) {
    const target = path.resolve(folder, source);
    return (await pathKind(target)) === 'nothing' ? notFound(source, target) : { place: target };
  }
  return withHub('model', id.repo, options, (context) =>
    readRevision(
      context,
      id.revision ?? 'main',
      {
        online: async (commit) => placeOf(await bringModel(context, commit, id), commit, id),
        cached: async (commit) =>
          (await isCached(context, commit, id)) ? placeOf(snapshotFolder(context, commit), commit, id) : undefined,
      },
      options.warn,
    ),
  );
}

function placeOf(folder: string, commit: string, id: ModelId): ModelPlace {
  const place = id.file === undefined ? folder : path.join(folder, ...id.file.split('/'));
  return { place, id: { ...id, revision: commit } };
}

async function bringModel(context: HubContext, commit: string, id: ModelId): Promise<string> {
  const files = await filesAt(context, commit);
  const found = new Map(files.map((file) => [file.path, file]));
  if (id.file !== undefined) {
    return bringFiles(context, commit, [found.get(id.file) ?? noSuchGguf(context, id.file, files)]);
  }
  const config = found.get(CONFIG);
  if (config === undefined || (!found.has(WEIGHTS) && !found.has(INDEX))) return unusable(context, files);
  if (!TOKENIZERS.some((name) => found.has(name))) noTokenizer(context);
  const companions = COMPANIONS.flatMap((name) => found.get(name) ?? []);
  // As where a folder is read: a single file goes before an index beside it.
  const single = found.get(WEIGHTS);
  const weights = single === undefined ? await shards(context, commit, found) : [single];
  // The config is shown last: where it is, the others are.
  return bringFiles(context, commit, [...companions, ...weights, config]);
}

/** The index and the shards that it names. */
async function shards(
  context: HubContext,
  commit: string,
  found: ReadonlyMap<string, HubFile>,
): Promise<HubFile[]> {
  const index = found.get(INDEX)!;
  if (index.size > MAX_INDEX_BYTES) badIndex(context, l10n.t`is ${index.size} bytes long`);
  const folder = await bringFiles(context, commit, [index]);
  const names = await shardNames(path.join(folder, INDEX));
  if (names.length === 0) badIndex(context, l10n.t`names no file`);
  return [
    index,
    ...names.map(
      (name) => found.get(name) ?? badIndex(context, l10n.t`names ${JSON.stringify(name)}, which is not there`),
    ),
  ];
}

async function shardNames(index: string): Promise<string[]> {
  const { weight_map: map } = await readJsonObject(index, { code: 'checkpoint.index', maxBytes: MAX_INDEX_BYTES });
  if (!isJsonObject(map)) return [];
  return [...new Set(Object.values(map))].map((name) => (typeof name === 'string' ? name : ''));
}

/** Whether the cache shows all of a model that is needed. */
async function isCached(context: HubContext, commit: string, { file }: ModelId): Promise<boolean> {
  const names = new Set(await cachedFiles(context, commit));
  if (file !== undefined) return names.has(file);
  if (!names.has(CONFIG) || !TOKENIZERS.some((name) => names.has(name))) return false;
  if (names.has(WEIGHTS)) return true;
  if (!names.has(INDEX)) return false;
  const wanted = await shardNames(path.join(snapshotFolder(context, commit), INDEX));
  return wanted.length > 0 && wanted.every((name) => names.has(name));
}

function notFound(source: string, target: string): never {
  const couldBe = parseModelId(source);
  return fail({
    code: 'checkpoint.folder-not-found',
    message: l10n.t`there is no folder or file ${target}`,
    expected: l10n.t`a model folder, a .gguf file, or the id of a model in the Hugging Face hub`,
    mend:
      couldBe === undefined
        ? l10n.t`Check the path. If it is meant as an id: ${idForm()}.`
        : l10n.t`Check the path. If the hub's ${couldBe.repo} is meant, write \`${couldBe.repo}@main${couldBe.file === undefined ? '' : `/${couldBe.file}`}\`.`,
  });
}

function noSuchGguf(context: HubContext, file: string, files: readonly HubFile[]): never {
  fail({
    code: 'hub.file-not-found',
    message: l10n.t`${named(context)} has no file ${file}`,
    expected: listed(files.filter(({ path: name }) => name.toLowerCase().endsWith('.gguf'))),
    mend: l10n.t`Name one of its files: ${pageOf(context)}/tree/main.`,
  });
}

/** Throws what is the matter with a repository that holds no model that can be read. */
function unusable(context: HubContext, files: readonly HubFile[]): never {
  const names = files.map(({ path: name }) => name);
  const what = named(context);
  const ggufs = files.filter(({ path: name }) => name.toLowerCase().endsWith('.gguf'));
  if (ggufs.length > 0) {
    fail({
      code: 'hub.gguf-file',
      message: l10n.t`${what} holds GGUF files, of which one has to be chosen`,
      expected: listed(ggufs),
      mend: l10n.t`Name the file, too: ${context.repo}/${ggufs[0]!.path}`,
    });
  }
  if (names.includes('adapter_config.json')) {
    fail({
      code: 'hub.adapter',
      message: l10n.t`${what} is an adapter, not a base model`,
      mend: l10n.t`Name the model that it was trained on: its adapter_config.json says which (base_model_name_or_path).`,
    });
  }
  const pickled = names.find((name) => PICKLE.test(name));
  if (names.includes(CONFIG) && pickled !== undefined) {
    fail({
      code: 'hub.pickle',
      message: l10n.t`${what} has its weights in ${pickled} only, a format that can run any code when it is read: it is refused`,
      expected: l10n.t`${WEIGHTS} or ${INDEX}`,
      mend: l10n.t`Convert a model that you trust once, with Python: AutoModelForCausalLM.from_pretrained("${context.repo}").save_pretrained("converted"), its tokenizer likewise; then name that folder.`,
    });
  }
  return fail({
    code: 'hub.no-weights',
    message: l10n.t`${what} holds no model that can be read: it has ${listed(files)}`,
    expected: l10n.t`${CONFIG} with ${WEIGHTS} or ${INDEX}`,
    mend: l10n.t`Look at ${pageOf(context)}, and name another repository.`,
  });
}

function noTokenizer(context: HubContext): never {
  fail({
    code: 'hub.no-tokenizer',
    message: l10n.t`${named(context)} has no tokenizer.json`,
    expected: l10n.t`tokenizer.json, the "fast" tokenizer of Hugging Face`,
    mend: l10n.t`Convert an older tokenizer once, with Python: AutoTokenizer.from_pretrained("${context.repo}").save_pretrained("FOLDER"), the model likewise; then name that folder.`,
  });
}

function badIndex(context: HubContext, what: string): never {
  fail({
    code: 'hub.index',
    message: l10n.t`${INDEX} of ${named(context)} ${what}`,
    expected: '{ "weight_map": { "<tensor>": "<file of the repository>", … } }',
    mend: l10n.t`Ask the owner of the repository to complete it, or name another revision.`,
  });
}

/** The first names of files, for messages. */
function listed(files: readonly HubFile[]): string {
  const shown = files.slice(0, 8).map(({ path: name }) => name.slice(0, 100));
  return (
    (shown.join(', ') || 'nothing') +
    (files.length > shown.length ? l10n.t` and ${files.length - shown.length} more` : '')
  );
}
