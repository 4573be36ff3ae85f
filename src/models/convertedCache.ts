import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { pathKind } from '../common/files.js';
import { ProblemError } from '../common/problem.js';
import { readJsonObject } from './boundedJson.js';

/** Beside an entry's weights: the real paths of the files that they were made from. */
export const SOURCES_FILE = 'sources.json';
/** A thousand shards with long paths. */
const MAX_SOURCES_BYTES = 4 * 1024 * 1024;

/** An entry without a record of its sources may be one that is just being made, for so long. */
const UNRECORDED_MILLISECONDS = 60 * 60 * 1000;

/** Entries are named by 32 hexadecimal digits; nothing else in the cache is touched. */
const ENTRY = /^[0-9a-f]{32}$/;

/**
 * Removes the cache's entries whose sources are gone or are no longer what they were made from: their key would
 * never be asked for again.
 *
 * @param keyOf the name of the entry that belongs to source files as they are now
 */
export async function dropStaleEntries(
  cache: string,
  keyOf: (sources: readonly string[]) => Promise<string>,
): Promise<void> {
  if ((await pathKind(cache)) !== 'folder') return;
  for (const name of await readdir(cache)) {
    const folder = path.join(cache, name);
    if (!ENTRY.test(name) || !(await isStale(folder, keyOf))) continue;
    // A process on Windows that has it mapped keeps it from being removed: then a later run does it.
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function isStale(folder: string, keyOf: (sources: readonly string[]) => Promise<string>): Promise<boolean> {
  const sources = await readSources(path.join(folder, SOURCES_FILE));
  // Another run may have removed it meanwhile; then there is nothing to do.
  if (sources === undefined) {
    const found = await stat(folder).catch(() => undefined);
    return found !== undefined && Date.now() - found.mtimeMs > UNRECORDED_MILLISECONDS;
  }
  for (const source of sources) if ((await pathKind(source)) === 'nothing') return true;
  return (await keyOf(sources)) !== path.basename(folder);
}

async function readSources(file: string): Promise<string[] | undefined> {
  if ((await pathKind(file)) !== 'file') return undefined;
  try {
    const { sources } = await readJsonObject(file, { code: 'cache.sources', maxBytes: MAX_SOURCES_BYTES });
    if (!Array.isArray(sources) || !sources.every((each) => typeof each === 'string')) return undefined;
    return sources;
  } catch (error) {
    if (error instanceof ProblemError) return undefined;
    throw error;
  }
}
