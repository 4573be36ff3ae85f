import { datasetInfo, listFiles, modelInfo } from '@huggingface/hub';
import type { ListFileEntry } from '@huggingface/hub';
import * as l10n from '@vscode/l10n';
import { ProblemError, fail, messageOf } from '../../common/problem.js';
import { named } from './context.js';
import type { HubContext } from './context.js';
import { hubRequest, readAnswer, strangeAnswer } from './request.js';

/** A file of a repository, and what its bytes must hash to. */
export interface HubFile {
  /** In the repository, with `/`. Told by the server: {@link isSafePath} before it meets the disk. */
  readonly path: string;
  readonly size: number;
  /** Git's own hash for files kept in git, SHA-256 for those in large-file storage. Names the blob in the cache. */
  readonly hash: { readonly kind: 'sha1' | 'sha256'; readonly hex: string };
}

/** A commit's name. */
export const COMMIT = /^[0-9a-f]{40}$/;
const SHA256 = /^[0-9a-f]{64}$/;
/** The biggest data sets have some tens of thousands. */
const MAX_FILES = 200_000;
/** Pages of a listing; a thousand files each. */
const MAX_REQUESTS = 1000;

/** The commit that a branch or tag is at. Errors: those of {@link hubRequest}; `hub.answer`. */
export async function commitOf(context: HubContext, revision: string): Promise<string> {
  if (COMMIT.test(revision)) return revision;
  const { kind, repo: name, settings } = context;
  const request = { name, revision, hubUrl: settings.endpoint, fetch: fetchWith(context) };
  return asTold(context, async () => {
    const { sha } =
      kind === 'model'
        ? await modelInfo({ ...request, additionalFields: ['sha'] })
        : await datasetInfo({ ...request, additionalFields: ['sha'] });
    return typeof sha === 'string' && COMMIT.test(sha) ? sha : strangeAnswer(context, l10n.t`no commit`);
  });
}

/**
 * All files of a repository at a commit, without reading any. Errors: those of {@link hubRequest}; `hub.answer`,
 * `hub.too-many-files`.
 */
export async function filesAt(context: HubContext, commit: string): Promise<HubFile[]> {
  const entries = listFiles({
    repo: { type: context.kind, name: context.repo },
    recursive: true,
    revision: commit,
    hubUrl: context.settings.endpoint,
    fetch: fetchWith(context),
  });
  return asTold(context, async () => {
    const files: HubFile[] = [];
    for await (const entry of entries) {
      if (entry.type === 'file') files.push(hubFile(context, entry));
      if (files.length > MAX_FILES) tooManyFiles(context);
    }
    return files;
  });
}

function hubFile(context: HubContext, { path, size, oid, lfs }: ListFileEntry): HubFile {
  const [kind, hex, bytes] =
    lfs === undefined ? (['sha1', oid, size] as const) : (['sha256', lfs.oid, lfs.size] as const);
  const known =
    typeof path === 'string' &&
    Number.isSafeInteger(bytes) &&
    bytes >= 0 &&
    typeof hex === 'string' &&
    (kind === 'sha1' ? COMMIT : SHA256).test(hex);
  return known
    ? { path, size: bytes, hash: { kind, hex } }
    : strangeAnswer(context, l10n.t`a list of files that cannot be read`);
}

function tooManyFiles(context: HubContext): never {
  fail({
    code: 'hub.too-many-files',
    message: l10n.t`${named(context)} has more than ${MAX_FILES} files`,
    mend: l10n.t`Download what you need of it with \`hf download … --include\`, and name the files.`,
  });
}

/** The library takes answers as they come: what it stumbles over is an answer that is none. */
async function asTold<Value>(context: HubContext, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ProblemError || context.signal.aborted) throw error;
    return strangeAnswer(context, l10n.t`an answer that cannot be read (${messageOf(error)})`);
  }
}

/** Whether a path that a server told stays inside of the folder it is joined to, on every system. */
export function isSafePath(path: string): boolean {
  return (
    path.length <= 1024 &&
    !/[\\:\0-\x1f]/.test(path) &&
    path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !/[. ]$/.test(part))
  );
}

/** Where the hub gives a file. */
export function addressOf({ kind, repo, settings }: HubContext, commit: string, path: string): string {
  const place = path.split('/').map(encodeURIComponent).join('/');
  return `${settings.endpoint}/${kind === 'model' ? '' : 'datasets/'}${repo}/resolve/${commit}/${place}`;
}

/**
 * The `fetch` that @huggingface/hub is to use: ours, with its retries, its care for the token, its limits and its
 * problems. So the library sees no failure, and gets no token.
 */
function fetchWith(context: HubContext): typeof fetch {
  let requests = 0;
  return async (input) => {
    if (++requests > MAX_REQUESTS) strangeAnswer(context, l10n.t`more than ${MAX_REQUESTS} pages`);
    const url = input instanceof Request ? input.url : String(input);
    return hubRequest(context, url, { accept: 'application/json' }, async (response) => {
      const link = response.headers.get('link');
      return new Response(await readAnswer(context, response), { headers: link === null ? {} : { link } });
    });
  };
}
