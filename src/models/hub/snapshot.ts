import * as l10n from '@vscode/l10n';
import { mkdir, statfs } from 'node:fs/promises';
import path from 'node:path';
import { formatBytes } from '../../common/format.js';
import { ProblemError, fail } from '../../common/problem.js';
import { blobFile, cachedCommit, isWhole, repoFolder, showBlob, snapshotFolder, writeRef } from './cache.js';
import { named, pageOf } from './context.js';
import type { HubContext, HubOptions } from './context.js';
import { downloadBlob } from './download.js';
import { COMMIT, commitOf, isSafePath } from './listing.js';
import type { HubFile } from './listing.js';

const MIB = 2 ** 20;
/** Pieces come by the thousand; more often than this nobody looks. */
const REPORT_MS = 100;
/** Space left free on the disk beside what is downloaded. */
const SPARE_BYTES = 64 * MIB;

/** Where the hub does not tell of a repository, the cache may. */
const NO_ANSWER = new Set([
  'hub.unreachable',
  'hub.unavailable',
  'hub.rate-limit',
  'hub.answer',
  'hub.gated',
  'hub.token-refused',
  'hub.repo-not-found',
  'hub.forbidden',
  'hub.refused',
]);

/**
 * Brings files of a repository into the cache and returns the folder that shows them under their paths. Nothing is
 * shown before everything has arrived, so that a folder that shows the last of the files shows all.
 * Errors: `hub.unsafe-path`, `hub.no-space`, and those of {@link downloadBlob}.
 */
export async function bringFiles(context: HubContext, commit: string, files: readonly HubFile[]): Promise<string> {
  const folder = snapshotFolder(context, commit);
  for (const { path: name } of files) if (!isSafePath(name)) unsafePath(context, name);
  const shownAt = (file: HubFile): string => path.join(folder, ...file.path.split('/'));
  const hidden: HubFile[] = [];
  for (const file of files) if (!(await isWhole(shownAt(file), file))) hidden.push(file);
  const missing = new Map<string, HubFile>();
  for (const file of hidden) if (!(await isWhole(blobFile(context, file), file))) missing.set(file.hash.hex, file);
  const total = [...missing.values()].reduce((sum, { size }) => sum + size, 0);
  if (total > 0) await checkSpace(context, total);
  let before = 0;
  let told = -Infinity;
  const report = (bytes: number): void => {
    const whole = before + bytes === total;
    if (!whole && performance.now() - told < REPORT_MS) return;
    told = performance.now();
    const done = mebibytes(before + bytes);
    context.progress({ activity: l10n.t`Downloading ${context.repo} (MiB)`, done, total: mebibytes(total) });
  };
  for (const file of missing.values()) {
    await downloadBlob(context, commit, file, report);
    before += file.size;
  }
  for (const file of hidden) await showBlob(blobFile(context, file), shownAt(file));
  return folder;
}

/** One decimal, and no 0 for what is something. */
function mebibytes(bytes: number): number {
  return Math.ceil((bytes / MIB) * 10) / 10;
}

/** A way to get at a repository: over the network, or through what the cache holds. */
export interface Access<Value> {
  readonly online: (commit: string) => Promise<Value>;
  /** Undefined where the cache does not hold all of it. */
  readonly cached: (commit: string) => Promise<Value | undefined>;
}

/**
 * Reads a revision of a repository: what the cache holds of a commit is not asked for again; a branch is asked where
 * it is now. Offline, or where the hub does not tell of the repository, the copy of the last time is used, with a warning
 * unless offline was asked for. Errors: `hub.offline`, and those of the network where there is no such copy.
 */
export async function readRevision<Value>(
  context: HubContext,
  revision: string,
  { online, cached }: Access<Value>,
  warn: HubOptions['warn'],
): Promise<Value> {
  const known = async (): Promise<Value | undefined> => {
    const commit = await cachedCommit(context, revision);
    return commit === undefined ? undefined : cached(commit);
  };
  if (context.settings.offline) return (await known()) ?? notCached(context, revision);
  if (COMMIT.test(revision)) {
    const value = await cached(revision);
    if (value !== undefined) return value;
  }
  let commit: string;
  try {
    commit = await commitOf(context, revision);
  } catch (error) {
    const value = error instanceof ProblemError && NO_ANSWER.has(error.problem.code) ? await known() : undefined;
    if (value === undefined || !(error instanceof ProblemError)) throw error;
    const { message, mend } = error.problem;
    warn?.({
      code: 'hub.cached-copy',
      severity: 'warning',
      message: l10n.t`the copy of ${named(context)} in the cache is used as it is: ${message}`,
      ...(mend === undefined ? {} : { mend }),
    });
    return value;
  }
  const value = await online(commit);
  await writeRef(context, revision, commit);
  return value;
}

function notCached(context: HubContext, revision: string): never {
  fail({
    code: 'hub.offline',
    message: l10n.t`${named(context)} (revision ${revision}) is not, or not wholly, in the cache, and HF_HUB_OFFLINE forbids to ask the hub`,
    where: { file: repoFolder(context) },
    mend: l10n.t`Unset HF_HUB_OFFLINE once, or download it on a machine that is online and copy the folder here.`,
  });
}

function unsafePath(context: HubContext, name: string): never {
  fail({
    code: 'hub.unsafe-path',
    message: l10n.t`${named(context)} has a file ${JSON.stringify(name.slice(0, 200))}, whose name could leave the cache's folder`,
    mend: l10n.t`Do not use this repository (${pageOf(context)}), or ask its owner to rename the file.`,
  });
}

async function checkSpace(context: HubContext, bytes: number): Promise<void> {
  const folder = repoFolder(context);
  await mkdir(folder, { recursive: true });
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= bytes + SPARE_BYTES) return;
  fail({
    code: 'hub.no-space',
    message: l10n.t`${formatBytes(bavail * bsize)} are free where ${named(context)} is to be kept`,
    where: { file: folder },
    expected: formatBytes(bytes + SPARE_BYTES),
    mend: l10n.t`Free space there, or set HF_HOME to a folder on a bigger disk.`,
  });
}
