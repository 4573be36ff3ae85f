/** Tokens by their form: of Hugging Face, GitHub, OpenAI and Weights & Biases, and what follows `Bearer`. */
const TOKENS = [
  /\bhf_[A-Za-z0-9]{8,}/g,
  /\b(?:gh[pousr]_|github_pat_)\w{16,}/g,
  /\bsk-[\w-]{16,}/g,
  /(?<=\bBearer\s+)[\w.~+/=-]{8,}/gi,
];

/** Names whose values are secret: `HF_TOKEN=…`, `"api_key": "…"`, `?token=…`. */
const NAMED =
  /((?:token|api[_-]?key|secret|password|passwd|signature|credential)["']?\s*[=:]\s*)("[^"\n]*"|'[^'\n]*'|[^\s"'&,;}]+)/gi;

/** `https://user:password@host` */
const IN_ADDRESS = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi;

const HIDDEN = '(hidden)';

/**
 * A text without secrets and without the user's folder: tokens, passwords in addresses, values of variables that hold
 * secrets, and the home folder, which becomes `~`. Words such as `tokens: 128` stay.
 *
 * @param secrets values that are known to be secret, whatever their form
 * @param home the user's folder
 */
export function redact(text: string, home: string, secrets: readonly string[] = []): string {
  let clean = text;
  for (const secret of secrets) if (secret.length >= 4) clean = clean.replaceAll(secret, HIDDEN);
  clean = clean.replace(IN_ADDRESS, `$1${HIDDEN}@`);
  for (const form of TOKENS) clean = clean.replace(form, HIDDEN);
  clean = clean.replace(NAMED, (whole, name: string, value: string) => {
    if (/^[\d.]+$/.test(value)) return whole;
    const quote = /^["']/.exec(value)?.[0] ?? '';
    return `${name}${quote}${HIDDEN}${quote}`;
  });
  return home.length > 1 ? clean.replace(placesOf(home), '~') : clean;
}

/**
 * A folder however it is written: the editor has `c:` for `C:`, JSON doubles backslashes, and settings may have slashes.
 * `/home/ann` is not in `/home/anna`.
 */
function placesOf(folder: string): RegExp {
  const parts = folder.split(/[\\/]+/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const isWindows = /^[a-z]:|^\\\\/i.test(folder);
  return new RegExp(`${parts.join(isWindows ? '[\\\\/]+' : '/')}(?![\\w-])`, isWindows ? 'gi' : 'g');
}

/** Values of the environment that are secret by the names of their variables. */
export function secretsOf(environment: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(environment).flatMap(([name, value]) =>
    value !== undefined && /token|api_?key|secret|password|passwd|credential/i.test(name) && value.length >= 8
      ? [value]
      : [],
  );
}
