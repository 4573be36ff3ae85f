import * as l10n from '@vscode/l10n';
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
  const signIn = l10n.t`set HF_TOKEN to an access token (or run \`hf auth login\`)`;
  if (code === 'GatedRepo') {
    return fail({
      code: 'hub.gated',
      message: l10n.t`${what} is gated: its authors want their terms accepted first`,
      mend: signedIn
        ? l10n.t`Accept them at ${page} with the account of your token; the token needs the right to read gated repositories.`
        : l10n.t`Accept them at ${page}, then ${signIn}.`,
    });
  }
  if (code === 'RevisionNotFound') {
    return fail({
      code: 'hub.revision-not-found',
      message: l10n.t`${what} has no such revision`,
      expected: l10n.t`a branch, tag or commit of ${page}`,
      mend: l10n.t`Correct what stands behind the \`@\`, or leave it out.`,
    });
  }
  if (code === 'EntryNotFound') {
    return fail({
      code: 'hub.file-not-found',
      message: l10n.t`${what} has no such file`,
      expected: l10n.t`a file of ${page}`,
      mend: l10n.t`Check its name and the revision.`,
    });
  }
  if (status === 401 && /invalid (?:credentials|username|token)/i.test(said)) {
    return fail({
      code: 'hub.token-refused',
      message: l10n.t`the hub refuses the access token (asked for ${what})`,
      mend: l10n.t`Correct HF_TOKEN, or log in again with \`hf auth login\`: it may have expired. Public models need none.`,
    });
  }
  if (code === 'RepoNotFound' || status === 401 || status === 404) {
    return fail({
      code: 'hub.repo-not-found',
      message:
        context.kind === 'model'
          ? l10n.t`the hub has no model ${context.repo}, or it is private`
          : l10n.t`the hub has no data set ${context.repo}, or it is private`,
      expected: l10n.t`a repository at ${page}`,
      mend: signedIn
        ? l10n.t`Check its name. If it is private, use a token whose account may read it.`
        : l10n.t`Check its name. If it is private, ${signIn}.`,
    });
  }
  if (status === 403) {
    return fail({
      code: 'hub.forbidden',
      message: l10n.t`the hub does not let you read ${what}${said && `: ${said}`}`,
      mend: signedIn ? l10n.t`Use a token that may read it.` : l10n.t`To use an account that may, ${signIn}.`,
    });
  }
  if (status === 429) {
    return fail({
      code: 'hub.rate-limit',
      message:
        wait === undefined
          ? l10n.t`the hub takes no more requests from you (asked for ${what})`
          : l10n.t`the hub takes no more requests from you for the next ${Math.ceil(wait / 1000)} seconds (asked for ${what})`,
      mend: signedIn
        ? l10n.t`Try again later. What has arrived is kept.`
        : l10n.t`Try again later; with an account more is allowed: ${signIn}. What has arrived is kept.`,
    });
  }
  return fail({
    code: status >= 500 ? 'hub.unavailable' : 'hub.refused',
    message: l10n.t`the hub answered with status ${status} for ${what}${said && `: ${said}`}`,
    mend: l10n.t`Try again later; https://status.huggingface.co tells about outages. What has arrived is kept.`,
  });
}

/** Words of a server without what could move a terminal's cursor. */
function plain(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, ' ').slice(0, MAX_SAID);
}
