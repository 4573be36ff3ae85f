import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What goes wrong with one answer. */
export type Fault =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  | { readonly redirect: string }
  /** The connection is cut after so many bytes of the body. */
  | { readonly cutAfter: number }
  /** One byte of the body is another. */
  | { readonly corrupt: true }
  /** So many bytes more than there should be. */
  | { readonly extra: number }
  /** A body that ends properly, too early. */
  | { readonly short: number }
  /** Sixteen bytes at a time, with pauses. */
  | { readonly slow: number }
  /** Headers, and then nothing. */
  | { readonly hang: true }
  /** The connection is closed before any answer. */
  | { readonly drop: true }
  /** Ranges are not understood. */
  | { readonly noRange: true };

export interface Asked {
  /** Of the hub, or of the other origin that it redirects to. */
  readonly host: 'hub' | 'files';
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

interface Repo {
  commit: string;
  files: ReadonlyMap<string, Buffer>;
  readonly revisions: Map<string, { commit: string; files: ReadonlyMap<string, Buffer> }>;
}

/** A server that speaks the part of the hub's API that downloads need, on two origins, and fails as it is told to. */
export interface FakeHub {
  readonly url: string;
  /** All requests so far. */
  readonly asked: Asked[];
  /** Asked at each request; an answer is what goes wrong. */
  fault: (asked: Asked) => Fault | undefined;
  /** Tokens that are let into repositories of these names. */
  readonly guarded: Map<string, { readonly tokens: readonly string[]; readonly gated: boolean }>;
  /** Files in a page of a listing. */
  pageSize: number;
  /** Puts files under a revision of a repository, and returns the commit. */
  readonly put: (
    kind: 'model' | 'dataset',
    repo: string,
    files: Readonly<Record<string, string | Uint8Array>>,
    revision?: string,
  ) => string;
  readonly close: () => Promise<void>;
}

/** Files of these endings are kept in large-file storage. */
const LARGE = /\.(safetensors|gguf|parquet|bin)$/;

export async function startHub(): Promise<FakeHub> {
  const repos = new Map<string, Repo>();
  const [hubServer, fileServer] = [createServer(), createServer()];
  const [url, filesUrl] = await Promise.all([listen(hubServer), listen(fileServer)]);
  const hub: FakeHub = {
    url,
    asked: [],
    fault: () => undefined,
    guarded: new Map(),
    pageSize: 1000,
    put(kind, repo, contents, revision = 'main') {
      const key = `${kind}s/${repo}`;
      const files = new Map(Object.entries(contents).map(([name, bytes]) => [name, Buffer.from(bytes)]));
      const commit = createHash('sha1')
        .update(JSON.stringify([...files].map(([name, bytes]) => [name, gitHash(bytes)])))
        .digest('hex');
      const known = repos.get(key) ?? { commit, files, revisions: new Map() };
      known.revisions.set(revision, { commit, files }).set(commit, { commit, files });
      repos.set(key, known);
      return commit;
    },
    async close() {
      for (const server of [hubServer, fileServer]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };

  const serve = (host: Asked['host'], request: IncomingMessage, response: ServerResponse): void => {
    const asked: Asked = {
      host,
      method: request.method ?? '',
      path: request.url ?? '',
      authorization: request.headers.authorization,
      range: request.headers.range,
    };
    hub.asked.push(asked);
    const fault = hub.fault(asked);
    if (fault !== undefined && 'drop' in fault) request.socket.destroy();
    else if (fault !== undefined && 'status' in fault) {
      response.writeHead(fault.status, fault.headers).end(fault.body ?? '');
    } else if (fault !== undefined && 'redirect' in fault) {
      response.writeHead(302, { location: fault.redirect }).end();
    } else if (host === 'files') {
      const [, key, commit, name] = decodeURIComponent(new URL(asked.path, url).pathname).split('|');
      send(asked, response, repos.get(key!)!.revisions.get(commit!)!.files.get(name!)!, {}, fault);
    } else answer(asked, response, fault);
  };

  const answer = (asked: Asked, response: ServerResponse, fault: Fault | undefined): void => {
    const { pathname, searchParams } = new URL(asked.path, url);
    const refuse = (status: number, code: string, message = code): void => {
      response.writeHead(status, { 'x-error-code': code, 'x-error-message': message }).end();
    };
    const api = /^\/api\/(models|datasets)\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(pathname);
    const file = /^\/(?:api\/resolve-cache\/)?(datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    const key = api ? `${api[1]}/${api[2]}` : `${file?.[1] ?? 'models/'}${file?.[2]}`;
    const repo = repos.get(key);
    const token = asked.authorization?.replace('Bearer ', '');
    if (repo === undefined) return refuse(token === undefined ? 401 : 404, 'RepoNotFound', 'Repository not found');
    const guard = hub.guarded.get(key.slice(key.indexOf('/') + 1));
    const allowed = guard === undefined || (token !== undefined && guard.tokens.includes(token));
    if (token !== undefined && token.startsWith('hf_bad')) {
      return refuse(401, '', 'Invalid credentials in Authorization header');
    }
    if (!allowed && !guard.gated) return refuse(401, 'RepoNotFound', 'Repository not found');
    if (!allowed && file) return refuse(token === undefined ? 401 : 403, 'GatedRepo', 'Access is restricted');
    const revision = repo.revisions.get(decodeURIComponent((api ? api[4] : file?.[3]) ?? ''));
    if (revision === undefined) return refuse(404, 'RevisionNotFound', 'Invalid rev id');
    const { commit, files } = revision;
    if (api?.[3] === 'revision') {
      return json(asked, response, {
        _id: '0',
        id: api[2],
        sha: commit,
        private: false,
        lastModified: '2026-01-01T00:00:00.000Z',
        tags: [],
        downloads: 0,
        likes: 0,
        siblings: [...files.keys()].map((rfilename) => ({ rfilename })),
      });
    }
    if (api) {
      const start = Number(searchParams.get('cursor') ?? 0);
      const page = [...files].slice(start, start + hub.pageSize);
      const next = new URL(asked.path, url);
      next.searchParams.set('cursor', String(start + hub.pageSize));
      const more = start + hub.pageSize < files.size;
      return json(
        asked,
        response,
        page.map(([name, bytes]) => entry(name, bytes)),
        more ? { link: `<${next.href}>; rel="next"` } : {},
      );
    }
    const name = decodeURIComponent(file?.[4] ?? '');
    const bytes = files.get(name);
    if (bytes === undefined) return refuse(404, 'EntryNotFound', 'Entry not found');
    const large = LARGE.test(name);
    const told = {
      'x-repo-commit': commit,
      etag: `"${large ? sha256(bytes) : gitHash(bytes)}"`,
      ...(large && { 'x-linked-etag': `"${sha256(bytes)}"`, 'x-linked-size': String(bytes.length) }),
    };
    if (large) {
      const place = `${filesUrl}/${encodeURIComponent(`|${key}|${commit}|${name}`)}?signature=secret`;
      response.writeHead(302, { ...told, location: place }).end();
    } else if (!pathname.startsWith('/api/resolve-cache/')) {
      response.writeHead(307, { ...told, location: `/api/resolve-cache${asked.path}` }).end();
    } else send(asked, response, bytes, told, fault);
  };

  hubServer.on('request', (request, response) => serve('hub', request, response));
  fileServer.on('request', (request, response) => serve('files', request, response));
  return hub;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function json(asked: Asked, response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers });
  response.end(asked.method === 'HEAD' ? '' : JSON.stringify(value));
}

/** A file, or the part of it that is asked for, with what goes wrong. */
function send(
  { method, range }: Asked,
  response: ServerResponse,
  file: Buffer,
  headers: Record<string, string>,
  fault: Fault | undefined,
): void {
  const start = fault && 'noRange' in fault ? undefined : /^bytes=(\d+)-/.exec(range ?? '')?.[1];
  const at = Number(start ?? 0);
  if (start !== undefined && at >= file.length) {
    response.writeHead(416, { 'content-range': `bytes */${file.length}` }).end();
    return;
  }
  let bytes = Buffer.from(file.subarray(at));
  if (fault && 'corrupt' in fault) bytes[0]! ^= 1;
  if (fault && 'extra' in fault) bytes = Buffer.concat([bytes, Buffer.alloc(fault.extra)]);
  if (fault && 'short' in fault) bytes = bytes.subarray(0, bytes.length - fault.short);
  response.writeHead(start === undefined ? 200 : 206, {
    ...headers,
    'content-length': String(bytes.length),
    ...(start !== undefined && { 'content-range': `bytes ${at}-${file.length - 1}/${file.length}` }),
  });
  if (method === 'HEAD') response.end();
  else if (fault && 'hang' in fault) response.flushHeaders();
  else if (fault && 'cutAfter' in fault) {
    response.write(bytes.subarray(0, fault.cutAfter), () => setTimeout(() => response.destroy(), 5));
  } else if (fault && 'slow' in fault) void trickle(response, bytes, fault.slow);
  else response.end(bytes);
}

async function trickle(response: ServerResponse, bytes: Buffer, pause: number): Promise<void> {
  for (let at = 0; at < bytes.length && !response.destroyed; at += 16) {
    response.write(bytes.subarray(at, at + 16));
    await sleep(pause);
  }
  response.end();
}

function entry(path: string, bytes: Buffer): Record<string, unknown> {
  const large = LARGE.test(path) && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } };
  return { type: 'file', path, size: bytes.length, oid: gitHash(bytes), ...large };
}

export function gitHash(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
