import { stat } from 'node:fs/promises';
import path from 'node:path';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from '../../adapters/adapterFiles.js';
import { findAdapter } from '../../adapters/findAdapters.js';
import type { FoundAdapter } from '../../adapters/findAdapters.js';
import { findBase, readBaseModules, unmatchedModules } from '../../adapters/findBase.js';
import type { BaseModules, FoundBase } from '../../adapters/findBase.js';
import { MERGE_RECORD, findMerged } from '../../adapters/merging/mergeRecord.js';
import type { FoundMerged } from '../../adapters/merging/mergeRecord.js';
import { findRun } from '../../engines/findRuns.js';
import type { FoundRun, Liveness } from '../../engines/findRuns.js';
import { RESOLVED_CONFIG, RUN_EVENTS } from '../../engines/runFiles.js';
import { keptByVersion } from '../../language/modelCache.js';

/** What a folder can hold. */
export type Found = FoundAdapter | FoundRun | FoundMerged;

/** An adapter, a run or a merged model with what was found out about its base model. */
export interface Entry {
  readonly item: Found;
  readonly base: FoundBase;
  /** Modules that the base does not have or that do not fit it, in sentences. */
  readonly unmatched: readonly string[];
}

/** A folder to look at: with an `adapter_config.json`, an `events.jsonl` or a record of a merge. */
export interface Suspect {
  readonly kind: Found['kind'];
  readonly folder: string;
}

/** What came of a look: new or changed entries, and folders that hold nothing any more. */
export interface Findings {
  readonly changed: readonly Entry[];
  readonly gone: readonly Suspect[];
}

/** Reads adapters and runs; what has not changed since it was read is not read again. */
export interface Library {
  look(suspects: readonly Suspect[]): Promise<Findings>;
  /** Forgets what was read of a folder. */
  forget(suspect: Suspect): void;
}

/** Folders read at once: more would only wait for the disk, and hold the files open. */
const AT_ONCE = 16;

/** Base models whose modules are remembered: adapters of one base are read one after the other. */
const KEPT_BASES = 32;

/**
 * Makes a library that has read nothing yet.
 * @param roots folders that relative paths of base models may start at
 */
export function createLibrary(options: {
  readonly roots: () => readonly string[];
  readonly isAlive: Liveness;
}): Library {
  const known = new Map<string, { readonly stamp: string; readonly entry: Entry }>();
  const bases = keptByVersion<BaseModules | undefined>(KEPT_BASES);

  async function modulesOf(place: string): Promise<BaseModules | undefined> {
    const stamp = await stampOf(place, ['config.json', 'model.safetensors', 'model.safetensors.index.json']);
    return bases(place, stamp, () => readBaseModules(place));
  }

  async function describe(item: Found): Promise<Entry> {
    const base = await findBase(item.base, [...options.roots(), item.folder]);
    if (item.kind !== 'adapter' || item.modules.length === 0 || base.place === undefined) {
      return { item, base, unmatched: [] };
    }
    const modules = await modulesOf(base.place);
    return { item, base, unmatched: modules === undefined ? [] : unmatchedModules(item.modules, modules) };
  }

  async function read(suspect: Suspect): Promise<Entry | 'gone' | 'same'> {
    const { kind, folder } = suspect;
    const key = keyOf(suspect);
    const stamp = await stampOf(folder, FILES[kind]);
    const before = known.get(key);
    // Whether a run is worked on is not written in its files.
    if (before?.stamp === stamp && !isOpen(before.entry)) return 'same';
    const item = await find(suspect, options.isAlive);
    if (item === undefined) {
      known.delete(key);
      return 'gone';
    }
    const entry = await describe(item);
    known.set(key, { stamp, entry });
    return entry;
  }

  return {
    async look(suspects) {
      const queue = new Map(suspects.map((suspect) => [keyOf(suspect), suspect]));
      const changed: Entry[] = [];
      const gone: Suspect[] = [];
      // A run that ends moves its adapter into place as a whole: no file within it is told of. So it is looked at here,
      // and the queue grows while it is gone through.
      for (let at = 0; at < queue.size;) {
        const batch = [...queue.values()].slice(at, at + AT_ONCE);
        at += batch.length;
        const results = await Promise.all(batch.map(read));
        results.forEach((result, index) => {
          if (result === 'same') return;
          if (result === 'gone') {
            gone.push(batch[index]!);
            return;
          }
          changed.push(result);
          const adapter = adapterOf(result.item);
          if (adapter === undefined) return;
          const own: Suspect = { kind: 'adapter', folder: adapter };
          if (!queue.has(keyOf(own))) queue.set(keyOf(own), own);
        });
      }
      return { changed, gone };
    },
    forget: (suspect) => void known.delete(keyOf(suspect)),
  };
}

function keyOf({ kind, folder }: Suspect): string {
  return `${kind}:${folder}`;
}

/** Files whose change changes what is read, with the folder itself. */
const FILES: Readonly<Record<Found['kind'], readonly string[]>> = {
  adapter: [ADAPTER_CONFIG, ADAPTER_WEIGHTS, 'adapter.safetensors', '.'],
  run: [RUN_EVENTS, RESOLVED_CONFIG, '.'],
  merged: [MERGE_RECORD, '.'],
};

async function find({ kind, folder }: Suspect, isAlive: Liveness): Promise<Found | undefined> {
  switch (kind) {
    case 'adapter':
      return findAdapter(folder);
    case 'run':
      return findRun(folder, isAlive);
    case 'merged':
      return findMerged(folder);
  }
}

/** Where a run that ended says that its adapter is. */
function adapterOf(item: Found): string | undefined {
  if (item.kind !== 'run' || (item.state.kind !== 'finished' && item.state.kind !== 'stopped')) return undefined;
  const { adapter } = item.state;
  // A run's folder may have been moved since: what it names elsewhere is not its own.
  return adapter !== undefined && path.dirname(adapter) === item.folder ? adapter : undefined;
}

function isOpen({ item }: Entry): boolean {
  return item.kind === 'run' && (item.state.kind === 'running' || item.state.kind === 'interrupted');
}

/** Size and time of some files of a folder: what tells whether they are still what was read. */
async function stampOf(folder: string, names: readonly string[]): Promise<string> {
  const stamps = await Promise.all(
    names.map(async (name) => {
      try {
        const { size, mtimeMs } = await stat(path.join(folder, name));
        return `${size}@${mtimeMs}`;
      } catch {
        // Not there, or not to be looked at: reading says which.
        return '-';
      }
    }),
  );
  return stamps.join(' ');
}
