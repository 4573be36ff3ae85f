import { fail } from '../../common/problem.js';
import { named, pageOf } from './context.js';
import type { HubContext } from './context.js';

/** What a server says of itself is cut to this. */
const MAX_SAID = 300;

/**
 * Throws the problem of an answer that is no success. The hub tells its reasons apart with `X-Error-Code`; a
 * repository that one may not see is told as one that is not there.
 * Errors: `hub.gated`, `hub.token-refused`, `hub.repo-not-found`, `hub.revision-not-found`, `hub.file-not-found`,
 * `hub.forbidden`, `hub.rate-limit`, `hub.unavailable`, `hub.refused`.
 *
 * @param wait milliseconds that a busy hub asks for
 */
export async function refused(context: HubContext, response: Response, wait?: number): Promise<never> {
  await response.body?.cancel();
  const { status, headers } = response;
  const what = named(context);
  const page = pageOf(context);
  const signedIn = context.settings.token() !== undefined;
  const code = headers.get('x-error-code') ?? '';
  const said = plain(headers.get('x-error-message') ?? '');
  const signIn = 'set HF_TOKEN to an access token (or run `hf auth login`)';
  if (code === 'GatedRepo') {
    return fail({
      code: 'hub.gated',
      message: `${what} is gated: its authors want their terms accepted first`,
      mend: signedIn
        ? `Accept them at ${page} with the account of your token; the token needs the right to read gated repositories.`
        : `Accept them at ${page}, then ${signIn}.`,
    });
  }
  if (code === 'RevisionNotFound') {
    return fail({
      code: 'hub.revision-not-found',
      message: `${what} has no such revision`,
      expected: `a branch, tag or commit of ${page}`,
      mend: 'Correct what stands behind the `@`, or leave it out.',
    });
  }
  if (code === 'EntryNotFound') {
    return fail({
      code: 'hub.file-not-found',
      message: `${what} has no such file`,
      expected: `a file of ${page}`,
      mend: 'Check its name and the revision.',
    });
  }
  if (status === 401 && /invalid (?:credentials|username|token)/i.test(said)) {
    return fail({
      code: 'hub.token-refused',
      message: `the hub refuses the access token (asked for ${what})`,
      mend: 'Correct HF_TOKEN, or log in again with `hf auth login`: it may have expired. Public models need none.',
    });
  }
  if (code === 'RepoNotFound' || status === 401 || status === 404) {
    return fail({
      code: 'hub.repo-not-found',
      message: `the hub has no ${what.slice('the '.length)}, or it is private`,
      expected: `a repository at ${page}`,
      mend: `Check its name. If it is private, ${signedIn ? 'use a token whose account may read it' : signIn}.`,
    });
  }
  if (status === 403) {
    return fail({
      code: 'hub.forbidden',
      message: `the hub does not let you read ${what}${said && `: ${said}`}`,
      mend: signedIn ? 'Use a token that may read it.' : `To use an account that may, ${signIn}.`,
    });
  }
  if (status === 429) {
    const time = wait === undefined ? '' : ` for the next ${Math.ceil(wait / 1000)} seconds`;
    return fail({
      code: 'hub.rate-limit',
      message: `the hub takes no more requests from you${time} (asked for ${what})`,
      mend: `Try again later${signedIn ? '' : `; with an account more is allowed: ${signIn}`}. What has arrived is kept.`,
    });
  }
  return fail({
    code: status >= 500 ? 'hub.unavailable' : 'hub.refused',
    message: `the hub answered with status ${status} for ${what}${said && `: ${said}`}`,
    mend: 'Try again later; https://status.huggingface.co tells about outages. What has arrived is kept.',
  });
}

/** Words of a server without what could move a terminal's cursor. */
function plain(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, ' ').slice(0, MAX_SAID);
}
