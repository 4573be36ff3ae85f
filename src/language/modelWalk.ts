import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { keptByVersion } from './modelCache.js';

/** A folder that was looked into, and the names of what it holds that is no folder. */
export interface WalkedFolder {
  readonly folder: string;
  readonly names: readonly string[];
}

/** Folders below a root that are looked into; a workspace that has more is not a place for models. */
const MAX_FOLDERS = 2000;
/** `models/org/name` and one more. */
const MAX_DEPTH = 4;
/** Folders that hold no models or data, and many files. */
const SKIPPED = new Set(['node_modules', '__pycache__', 'venv', 'site-packages', 'dist', 'build', 'target']);
/** For so long a walk is not done again: suggestions are asked for with each letter. */
const FRESH_MS = 5000;

const walks = keptByVersion<readonly WalkedFolder[]>(16);

/** The folder and those below it, nearest first, within limits; hidden ones are passed over. Links are not followed. */
export async function walkFolders(root: string, signal?: AbortSignal): Promise<readonly WalkedFolder[]> {
  // The walk itself goes on when one of those who wait for it gives up.
  const found = await walks(root, String(Math.floor(Date.now() / FRESH_MS)), () => walk(root));
  signal?.throwIfAborted();
  return found;
}

async function walk(root: string): Promise<readonly WalkedFolder[]> {
  const found: WalkedFolder[] = [];
  let level = [root];
  for (let depth = 0; depth <= MAX_DEPTH && level.length > 0; depth++) {
    const next: string[] = [];
    for (const folder of level) {
      if (found.length === MAX_FOLDERS) return found;
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
      found.push({ folder, names: entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name) });
      for (const entry of entries) {
        const isHidden = entry.name.startsWith('.') || SKIPPED.has(entry.name);
        if (entry.isDirectory() && !isHidden) next.push(path.join(folder, entry.name));
      }
    }
    level = next;
  }
  return found;
}
