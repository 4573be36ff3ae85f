import * as l10n from '@vscode/l10n';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fail } from '../../common/problem.js';

/** Where the hub is, where its files are kept, and who asks. */
export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** The folder of `models--…` and `datasets--…`. */
  readonly cache: string;
  /** Nothing is asked of the network. */
  readonly offline: boolean;
  /** The access token; a function, so that it is never printed with the rest. */
  readonly token: () => string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The settings of the environment, as Python's huggingface_hub reads them: HF_ENDPOINT; HF_HUB_CACHE,
 * HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME; HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file HF_TOKEN_PATH or
 * `$HF_HOME/token`, HF_HUB_DISABLE_IMPLICIT_TOKEN; HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE.
 * Errors: `hub.endpoint`, `hub.token-form`.
 */
export function hubSettings(env: Environment = process.env): HubSettings {
  const at = (name: string): string | undefined => env[name] || undefined;
  const home = expand(
    at('HF_HOME') ?? path.join(at('XDG_CACHE_HOME') ?? path.join(homedir(), '.cache'), 'huggingface'),
    env,
  );
  const token = isTrue(at('HF_HUB_DISABLE_IMPLICIT_TOKEN'))
    ? undefined
    : checkToken(
        at('HF_TOKEN') ??
          at('HUGGING_FACE_HUB_TOKEN') ??
          fileToken(expand(at('HF_TOKEN_PATH') ?? path.join(home, 'token'), env)),
      );
  return {
    endpoint: checkEndpoint(at('HF_ENDPOINT') ?? 'https://huggingface.co'),
    cache: path.resolve(expand(at('HF_HUB_CACHE') ?? at('HUGGINGFACE_HUB_CACHE') ?? path.join(home, 'hub'), env)),
    offline: isTrue(at('HF_HUB_OFFLINE') ?? at('TRANSFORMERS_OFFLINE')),
    token: () => token,
  };
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && ['1', 'ON', 'YES', 'TRUE'].includes(value.toUpperCase());
}

/** `~` at the start and `$NAME`, `${NAME}`, as Python's expanduser and expandvars; unknown names stay. */
function expand(text: string, env: Environment): string {
  return text
    .replace(/^~(?=$|[\\/])/, () => homedir())
    .replace(
      /\$(?:(\w+)|\{(\w+)\})/g,
      (whole, plain?: string, braced?: string) => env[plain ?? braced ?? ''] ?? whole,
    );
}

function checkEndpoint(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text.replace(/\/+$/, '');
  return fail({
    code: 'hub.endpoint',
    message: l10n.t`the environment variable HF_ENDPOINT is not a web address`,
    expected: l10n.t`an address such as https://huggingface.co`,
    mend: l10n.t`Correct it, or unset it.`,
  });
}

/** What `hf auth login` keeps; none where there is no such file. */
function fileToken(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined;
    throw error;
  }
}

/** A token with a line break or a space would be refused deep inside the HTTP client, in a message that shows it. */
function checkToken(text: string | undefined): string | undefined {
  const token = text?.trim();
  if (token === undefined || token === '') return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  return fail({
    code: 'hub.token-form',
    message: l10n.t`the access token of the Hugging Face hub holds characters that no token has`,
    expected: l10n.t`one word, such as hf_…`,
    mend: l10n.t`Correct HF_TOKEN, or log in again with \`hf auth login\`.`,
  });
}
