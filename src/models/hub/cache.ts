import * as l10n from '@vscode/l10n';
import { randomBytes } from 'node:crypto';
import { copyFile, link, mkdir, readFile, readdir, rename, rm, stat, symlink } from 'node:fs/promises';
import path from 'node:path';
import { pathKind, writeFileWhole } from '../../common/files.js';
import { isJsonObject } from '../../common/json.js';
import { fail } from '../../common/problem.js';
import { readJsonObject } from '../boundedJson.js';
import type { HubContext } from './context.js';
import { COMMIT, isSafePath } from './listing.js';
import type { HubFile } from './listing.js';

/** 200,000 files with long paths. */
const MAX_LISTING_BYTES = 64 * 1024 * 1024;

/**
 * The hub's cache as huggingface_hub lays it out, so that Python and we find each other's files:
 * `models--org--name/blobs/HASH` holds bytes, `snapshots/COMMIT/PATH` links to them, `refs/REVISION` holds the commit
 * that a branch or tag was at when it was last asked for.
 */
export function repoFolder({ kind, repo, settings }: Pick<HubContext, 'kind' | 'repo' | 'settings'>): string {
  return path.join(settings.cache, `${kind}s--${repo.replace('/', '--')}`);
}

/** The folder that shows a repository's files at a commit. */
export function snapshotFolder(context: Pick<HubContext, 'kind' | 'repo' | 'settings'>, commit: string): string {
  return path.join(repoFolder(context), 'snapshots', commit);
}

/** The commit that a revision was at when it was last downloaded; undefined where it never was. */
export async function cachedCommit(context: HubContext, revision: string): Promise<string | undefined> {
  if (COMMIT.test(revision)) return revision;
  const file = refFile(context, revision);
  if ((await pathKind(file)) !== 'file') return undefined;
  const commit = (await readFile(file, 'utf8')).trim();
  return COMMIT.test(commit) ? commit : undefined;
}

/** Notes which commit a revision is at. */
export async function writeRef(context: HubContext, revision: string, commit: string): Promise<void> {
  if (COMMIT.test(revision) || (await cachedCommit(context, revision)) === commit) return;
  await writeFileWhole(refFile(context, revision), commit);
}

function refFile(context: HubContext, revision: string): string {
  if (!isSafePath(revision)) {
    fail({
      code: 'hub.revision-not-found',
      message: l10n.t`${JSON.stringify(revision)} is no name of a revision`,
      expected: l10n.t`a branch, tag or commit`,
      mend: l10n.t`Correct what stands behind the \`@\`, or leave it out.`,
    });
  }
  return path.join(repoFolder(context), 'refs', ...revision.split('/'));
}

/** The paths of all files that a snapshot shows, with `/`; none where there is no snapshot. */
export async function cachedFiles(context: HubContext, commit: string): Promise<string[]> {
  const folder = snapshotFolder(context, commit);
  if ((await pathKind(folder)) !== 'folder') return [];
  const names = await readdir(folder, { recursive: true });
  const files: string[] = [];
  for (const name of names.sort()) {
    if ((await pathKind(path.join(folder, name))) === 'file') files.push(name.split(path.sep).join('/'));
  }
  return files;
}

/**
 * The paths of all files that a commit has, whether or not they are in the cache, as far as it is known offline: as
 * noted by {@link noteListing}, or by huggingface_hub when it downloaded a snapshot.
 */
export async function knownListing(context: HubContext, commit: string): Promise<readonly string[] | undefined> {
  for (const file of [ownListing(context, commit), path.join(repoFolder(context), 'trees', `${commit}.json`)]) {
    if ((await pathKind(file)) !== 'file') continue;
    const { files } = await readJsonObject(file, { code: 'hub.listing', maxBytes: MAX_LISTING_BYTES });
    if (isJsonObject(files)) return Object.keys(files);
  }
  return undefined;
}

/** Notes which files a commit has: a part of a data set looks like another data set. */
export async function noteListing(context: HubContext, commit: string, files: readonly HubFile[]): Promise<void> {
  const listing = { files: Object.fromEntries(files.map(({ path: name, size }) => [name, { size }])) };
  await writeFileWhole(ownListing(context, commit), JSON.stringify(listing));
}

/** Not in `trees/`: what huggingface_hub finds there it takes for what the snapshot should hold. */
function ownListing(context: HubContext, commit: string): string {
  return path.join(repoFolder(context), 'listings', `${commit}.json`);
}

/** The blob of a file's bytes. */
export function blobFile(context: HubContext, { hash }: HubFile): string {
  return path.join(repoFolder(context), 'blobs', hash.hex);
}

/** Whether a file, seen through links, is there and as long as it should be. */
export async function isWhole(file: string, { size }: HubFile): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  return found !== undefined && found.isFile() && found.size === size;
}

/**
 * Shows a blob in a snapshot, by a relative link as huggingface_hub makes; where links need a right that the user
 * does not have (Windows), by a second name of the file or a copy. Two processes may do it at once.
 */
export async function showBlob(blob: string, shown: string): Promise<void> {
  await mkdir(path.dirname(shown), { recursive: true });
  const temporary = `${shown}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await symlink(path.relative(path.dirname(shown), blob), temporary).catch(() =>
      link(blob, temporary).catch(() => copyFile(blob, temporary)),
    );
    await rename(temporary, shown);
  } finally {
    await rm(temporary, { force: true });
  }
}
