import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { pathKind } from '../common/files.js';
import { COMMIT } from '../models/hub/listing.js';
import { repoFolder, snapshotFolder } from '../models/hub/cache.js';
import { modelIdAt, modelIdText } from '../models/hub/ids.js';
import type { ModelId } from '../models/hub/ids.js';
import { hubSettings } from '../models/hub/settings.js';
import type { HubSettings } from '../models/hub/settings.js';

/** Of a cache with more models than this, the rest is not offered. */
const MAX_REPOS = 500;

/** A model in the hub's cache. */
export interface CachedModel {
  /** As a run file names it. */
  readonly id: string;
  /** The folder or GGUF file, absolute. */
  readonly place: string;
}

/** Where a model of the hub is in its cache; undefined where it was never downloaded. Nothing is asked of the network. */
export async function cachedModelPlace(id: ModelId): Promise<string | undefined> {
  const settings = settingsIfSound();
  const repo = settings && { kind: 'model' as const, repo: id.repo, settings };
  const commit = repo && (await commitOf(repoFolder(repo), id.revision ?? 'main'));
  if (repo === undefined || commit === undefined) return undefined;
  const folder = snapshotFolder(repo, commit);
  return id.file === undefined ? folder : path.join(folder, ...id.file.split('/'));
}

/**
 * The folder or file of a model that is named as run files and adapters do; undefined for one that is not on this machine.
 * @param folder where a relative path starts
 */
export async function modelOnDisk(model: string, folder: string): Promise<string | undefined> {
  const id = await modelIdAt(model, folder);
  if (id !== undefined) return cachedModelPlace(id);
  const place = path.resolve(folder, model);
  return (await pathKind(place)) === 'nothing' ? undefined : place;
}

/** The models that the hub's cache shows: folders with weights, and GGUF files. */
export async function cachedModels(signal?: AbortSignal): Promise<readonly CachedModel[]> {
  const settings = settingsIfSound();
  if (settings === undefined) return [];
  const names = await readdir(settings.cache).catch(() => []);
  const found: CachedModel[] = [];
  for (const name of names.filter((each) => each.startsWith('models--')).slice(0, MAX_REPOS)) {
    signal?.throwIfAborted();
    const repo = name.slice('models--'.length).replace('--', '/');
    const folder = path.join(settings.cache, name);
    const main = await commitOf(folder, 'main');
    const commit = main ?? (await readdir(path.join(folder, 'snapshots')).catch(() => []))[0];
    if (commit === undefined) continue;
    const snapshot = path.join(folder, 'snapshots', commit);
    const revision = main === undefined ? { revision: commit } : {};
    const files = await readdir(snapshot).catch(() => []);
    if (isModelFolder(files)) found.push({ id: modelIdText({ repo, ...revision }), place: snapshot });
    for (const file of files.filter((each) => /\.gguf$/i.test(each))) {
      found.push({ id: modelIdText({ repo, ...revision, file }), place: path.join(snapshot, file) });
    }
  }
  return found;
}

/** Whether a folder with these names holds a model that can be read. */
export function isModelFolder(names: readonly string[]): boolean {
  return (
    names.includes('config.json') &&
    (names.includes('model.safetensors') || names.includes('model.safetensors.index.json'))
  );
}

/** An environment that is not sound is reported where the hub is used: here there is just nothing to offer. */
function settingsIfSound(): HubSettings | undefined {
  try {
    return hubSettings();
  } catch {
    return undefined;
  }
}

async function commitOf(folder: string, revision: string): Promise<string | undefined> {
  if (COMMIT.test(revision)) return revision;
  if (revision.includes('..')) return undefined;
  const text = await readFile(path.join(folder, 'refs', ...revision.split('/')), 'utf8').catch(() => '');
  return COMMIT.test(text.trim()) ? text.trim() : undefined;
}
