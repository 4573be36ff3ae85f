import * as l10n from '@vscode/l10n';
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { open, rename } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { ProblemError, fail } from '../../common/problem.js';
import { formatBytes } from '../../common/format.js';
import { blobFile, isWhole } from './cache.js';
import { named } from './context.js';
import type { HubContext } from './context.js';
import { addressOf } from './listing.js';
import type { HubFile } from './listing.js';
import { dropLeftOver, freePartial, takePartial } from './partial.js';
import { bodyOf, hubRequest, strangeAnswer, unreachable, wait } from './request.js';

/** Times that a whole file may come with a wrong checksum. */
const MAX_WRONG = 2;
/** Connections that one file may take, however little each brings. */
const MAX_CONNECTIONS = 500;

/**
 * Downloads a file into its blob: whole and with the right checksum, or not at all. It goes on where an earlier try
 * ended, also after a broken connection.
 *
 * This is ours, over `fetch`, since @huggingface/hub 2.17 has no part of it: its downloader starts over each time,
 * compares no checksum, cannot be stopped, writes to one name from all processes, and takes a body that is too
 * short or too long as it comes. What it would add, Xet's chunked storage, is served under the plain address, too.
 *
 * Errors: `hub.checksum`, `hub.length`, `hub.stopped`, and those of {@link hubRequest}.
 *
 * @param onBytes told how many bytes of the file are there, and again whenever that changes
 */
export async function downloadBlob(
  context: HubContext,
  commit: string,
  file: HubFile,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const blob = blobFile(context, file);
  const partial = await takePartial(blob);
  let whole = false;
  try {
    const handle = await open(partial, 'a+');
    try {
      await fill(context, commit, file, handle, onBytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    whole = true;
    // Another process may have put it there meanwhile, and on Windows have it open: it is the same.
    await rename(partial, blob).catch(async (error: unknown) => {
      if (!(await isWhole(blob, file))) throw error;
    });
  } finally {
    if (!whole) await freePartial(blob, partial);
  }
  await dropLeftOver(blob);
}

/** Fills a file with all bytes, over as many connections as it takes. */
async function fill(
  context: HubContext,
  commit: string,
  file: HubFile,
  handle: FileHandle,
  onBytes: (bytes: number) => void,
): Promise<void> {
  let at = (await handle.stat()).size;
  let hash = startHash(file);
  const restart = async (): Promise<void> => {
    await handle.truncate(0);
    at = 0;
    hash = startHash(file);
  };
  if (at > file.size) await restart();
  else await hashStart(handle, at, hash);
  onBytes(at);
  let wrong = 0;
  let failures = 0;
  for (let connections = 0; ;) {
    if (at === file.size) {
      const found = hash.digest('hex');
      if (found === file.hash.hex) return;
      if (++wrong === MAX_WRONG) wrongChecksum(context, file, found);
      await restart();
      onBytes(at);
    }
    const before = at;
    try {
      if (++connections > MAX_CONNECTIONS) throw new Error(`${MAX_CONNECTIONS} connections broke`);
      const response = await request(context, commit, file, at);
      if (response === undefined) {
        await restart();
        continue;
      }
      if (at > 0 && response.status !== 206) await restart();
      for await (const bytes of bodyOf(context, response)) {
        if (at + bytes.length > file.size) wrongLength(context, file, l10n.t`more than ${file.size} bytes`);
        await handle.appendFile(bytes);
        hash.update(bytes);
        at += bytes.length;
        onBytes(at);
        context.signal.throwIfAborted();
      }
      if (at < file.size) throw new Error(`the connection ended after ${at} of ${file.size} bytes`);
    } catch (error) {
      if (error instanceof ProblemError || context.signal.aborted || isFileError(error)) throw error;
      failures = at > before ? 0 : failures + 1;
      const delay = context.retryDelays[failures];
      if (delay === undefined || connections > MAX_CONNECTIONS) unreachable(context, error);
      await wait(context, delay);
    }
  }
}

/** Asks for the bytes from `at` on; undefined where the server does not have that many. */
async function request(
  context: HubContext,
  commit: string,
  file: HubFile,
  at: number,
): Promise<Response | undefined> {
  const headers = { 'accept-encoding': 'identity', ...(at === 0 ? {} : { range: `bytes=${at}-` }) };
  return hubRequest(context, addressOf(context, commit, file.path), headers, async (response) => {
    if (response.status === 416) await response.body?.cancel();
    if (response.status !== 206) return response.status === 416 ? undefined : response;
    const start = /^bytes (\d+)-\d+\/(?:\d+|\*)$/.exec(response.headers.get('content-range') ?? '')?.[1];
    if (Number(start) === at) return response;
    await response.body?.cancel();
    return start === undefined
      ? strangeAnswer(context, l10n.t`a part of a file that does not say which`)
      : undefined;
  });
}

/** Git hashes `blob`, the length and a zero before the bytes. */
function startHash({ hash, size }: HubFile): Hash {
  return hash.kind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

/** Hashes the first `length` bytes, which are there from an earlier try. */
async function hashStart(handle: FileHandle, length: number, hash: Hash): Promise<void> {
  if (length === 0) return;
  const start: AsyncIterable<Uint8Array> = handle.createReadStream({
    start: 0,
    end: length - 1,
    autoClose: false,
  });
  for await (const bytes of start) hash.update(bytes);
}

/** Of the disk, not of the network: another connection does not mend it. */
function isFileError(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    /^E(NOSPC|DQUOT|IO|ROFS|ACCES|PERM|BADF|FBIG)$/.test(String(error.code))
  );
}

function wrongChecksum(context: HubContext, { path, hash }: HubFile, found: string): never {
  fail({
    code: 'hub.checksum',
    message: l10n.t`${path} of ${named(context)} came ${MAX_WRONG} times with the wrong checksum (${hash.kind} ${found})`,
    expected: l10n.t`${hash.kind} ${hash.hex}, as the hub says`,
    mend: l10n.t`Try again later. If it stays so, something between you and the hub changes what it sends.`,
  });
}

function wrongLength(context: HubContext, { path, size }: HubFile, found: string): never {
  fail({
    code: 'hub.length',
    message: l10n.t`${path} of ${named(context)} comes with ${found}`,
    expected: l10n.t`${formatBytes(size)} (${size} bytes), as the hub says`,
    mend: l10n.t`Try again later. If it stays so, something between you and the hub changes what it sends.`,
  });
}
