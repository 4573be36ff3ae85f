import * as l10n from '@vscode/l10n';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProblemError, fail, messageOf } from '../../common/problem.js';
import { named } from './context.js';
import type { HubContext } from './context.js';
import { refused } from './refused.js';

/** The hub sends a file's reader over two or three hosts. */
const MAX_REDIRECTS = 8;
/** Longest wait that a busy hub may ask for. */
const MAX_WAIT_MS = 60_000;
/** A page of a listing has 1000 files, of some 300 bytes each. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

/**
 * Asks the hub for something, over redirects, and again where the network or the hub fails for a while. The access
 * token goes to the hub's own origin only, never to where it redirects.
 * Errors: `hub.unreachable`, `hub.unavailable`, `hub.rate-limit`, and those of {@link refused}.
 *
 * @param use what to do with an answer of status 200, 206 or 416; its body is to be read or cancelled. Where it throws
 *   anything but a problem, the connection counts as broken.
 */
export async function hubRequest<Value>(
  context: HubContext,
  url: string,
  headers: Readonly<Record<string, string>>,
  use: (response: Response) => Promise<Value> | Value,
): Promise<Value> {
  for (let tries = 0; ; tries++) {
    const delay = context.retryDelays[tries];
    let pause = delay;
    try {
      const response = await followed(context, url, headers);
      // 416: the range that was asked for is not there.
      if (response.ok || response.status === 416) return await use(response);
      const again = response.status === 429 || response.status === 408 || response.status >= 500;
      const asked = again ? askedWait(response) : undefined;
      if (!again || delay === undefined || (asked ?? 0) > MAX_WAIT_MS)
        return await refused(context, response, asked);
      await response.body?.cancel();
      pause = asked ?? delay;
    } catch (error) {
      if (error instanceof ProblemError || context.signal.aborted) throw error;
      if (delay === undefined) unreachable(context, error);
    }
    await wait(context, pause ?? 0);
  }
}

/** The body of an answer of the hub's API, read whole. Error: `hub.answer`. */
export async function readAnswer(context: HubContext, response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of bodyOf(context, response)) {
    length += part.length;
    if (length > MAX_ANSWER_BYTES)
      strangeAnswer(context, l10n.t`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    parts.push(part);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * The bytes of a body as they come. Throws where the connection breaks, and where nothing comes for
 * `stallMilliseconds`. Whoever ends early ends the connection.
 */
export async function* bodyOf(context: HubContext, response: Response): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await withinStall(context, reader.read());
      if (done) return;
      yield value;
    }
  } finally {
    // Already broken or ended: there is nothing left to cancel.
    await reader.cancel().catch(() => undefined);
  }
}

/** Throws the problem of a server that does not speak as the hub does. */
export function strangeAnswer(context: HubContext, what: string): never {
  fail({
    code: 'hub.answer',
    message: l10n.t`${context.settings.endpoint} gave ${what} for ${named(context)}`,
    expected: l10n.t`an answer of the Hugging Face hub`,
    mend: l10n.t`Check HF_ENDPOINT, and whether a proxy or a login page of your network stands in between.`,
  });
}

async function followed(context: HubContext, from: string, headers: Readonly<Record<string, string>>) {
  const home = new URL(context.settings.endpoint).origin;
  let url = new URL(from);
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const token = url.origin === home ? context.settings.token() : undefined;
    const response = await fetchOnce(context, url, {
      ...headers,
      'user-agent': 'peft-studio',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    });
    const location = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null;
    if (location === null) return response;
    await response.body?.cancel();
    const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
    if (next === undefined || !/^https?:$/.test(next.protocol)) {
      return strangeAnswer(context, l10n.t`a redirect to no web address`);
    }
    if (url.protocol === 'https:' && next.protocol === 'http:') {
      return strangeAnswer(context, l10n.t`a redirect from https to http (${next.host})`);
    }
    url = next;
  }
  return strangeAnswer(context, l10n.t`more than ${MAX_REDIRECTS} redirects`);
}

/** One request; it counts as dead where no answer starts for `stallMilliseconds`. */
async function fetchOnce(context: HubContext, url: URL, headers: Record<string, string>): Promise<Response> {
  const dead = new AbortController();
  const signal = AbortSignal.any([context.signal, dead.signal]);
  const timer = setTimeout(() => dead.abort(new Error('no answer')), context.stallMilliseconds);
  try {
    return await fetch(url, { headers, redirect: 'manual', signal });
  } finally {
    clearTimeout(timer);
  }
}

async function withinStall<Value>(context: HubContext, work: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('nothing came any more')), context.stallMilliseconds);
  });
  try {
    return await Promise.race([work, stalled]);
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds that a busy server asks for: `Retry-After` in seconds or as a date, or the hub's own `RateLimit`. */
function askedWait({ headers }: Response): number | undefined {
  const after = headers.get('retry-after')?.trim();
  if (after !== undefined && /^\d+$/.test(after)) return Number(after) * 1000;
  const date = Date.parse(after ?? '');
  if (!Number.isNaN(date)) return Math.max(0, date - Date.now());
  const seconds = /\bt=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}

/** Waits before another try; a stop ends it. */
export async function wait({ signal }: HubContext, milliseconds: number): Promise<void> {
  await sleep(milliseconds, undefined, { signal });
}

/** Throws the problem of a hub that cannot be reached. */
export function unreachable(context: HubContext, error: unknown): never {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code =
    cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined;
  fail(
    {
      code: 'hub.unreachable',
      message: l10n.t`${context.settings.endpoint} cannot be reached for ${named(context)}: ${code ?? messageOf(cause)}`,
      mend: l10n.t`Check the network, then start again: what has arrived is kept. Proxies are not used: behind one, download with Python (\`hf download\`) once; the same cache is read here.`,
    },
    error,
  );
}
