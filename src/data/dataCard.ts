import * as l10n from '@vscode/l10n';
import { parse } from 'yaml';
import { isJsonObject } from '../common/json.js';
import { fail, messageOf } from '../common/problem.js';

/** A configuration that a data set's card names: its files by split, as patterns. */
export interface CardConfig {
  readonly name: string;
  readonly isDefault: boolean;
  /** Where its files lie, when they are not named. */
  readonly folder?: string;
  readonly splits: ReadonlyMap<string, readonly string[]>;
}

/** Real cards have some dozens of patterns; multilingual ones some thousands. */
const MAX_PATTERNS = 20_000;

/**
 * The `configs` of a data set's card: of the YAML at the head of its README.md. None where the card names none.
 * Error: `data.card`, naming the file.
 */
export function cardConfigs(card: string, file: string): CardConfig[] {
  const head = /^\uFEFF?---\r?\n([^]*?)\n---\s*(?:\n|$)/.exec(card)?.[1];
  if (head === undefined) return [];
  let value: unknown;
  try {
    value = parse(head, { maxAliasCount: 100, logLevel: 'error' });
  } catch (error) {
    return badCard(file, l10n.t`its head is not valid YAML (${messageOf(error)})`);
  }
  const configs = isJsonObject(value) ? value['configs'] : undefined;
  if (configs === undefined || configs === null) return [];
  if (!Array.isArray(configs)) return badCard(file, l10n.t`\`configs\` is no list`);
  let patterns = 0;
  return configs.map((config: unknown) => {
    if (!isJsonObject(config)) return badCard(file, l10n.t`an entry of \`configs\` is no mapping`);
    const { config_name: name, data_dir: folder, default: isDefault } = config;
    const splits =
      splitPatterns(config['data_files']) ?? badCard(file, l10n.t`\`data_files\` is neither paths nor splits`);
    for (const some of splits.values()) patterns += some.length;
    if (patterns > MAX_PATTERNS) badCard(file, l10n.t`more than ${MAX_PATTERNS} patterns`);
    return {
      name: typeof name === 'string' ? name : 'default',
      isDefault: isDefault === true,
      ...(typeof folder === 'string' && { folder: folder.replace(/^\.?\/+|\/+$/g, '') }),
      splits,
    };
  });
}

/** `data_files` as it may be written: paths, `{ split, path }` in a list, or paths by split. */
function splitPatterns(value: unknown): Map<string, readonly string[]> | undefined {
  if (value === undefined || value === null) return new Map();
  const plain = paths(value);
  if (plain !== undefined) return new Map([['train', plain]]);
  const entries: (readonly [unknown, unknown])[] = Array.isArray(value)
    ? value.map((entry: unknown) =>
        isJsonObject(entry) ? [entry['split'] ?? 'train', entry['path']] : [undefined, entry],
      )
    : isJsonObject(value)
      ? Object.entries(value)
      : [];
  const splits = new Map<string, readonly string[]>();
  for (const [split, path] of entries) {
    const some = paths(path);
    if (typeof split !== 'string' || some === undefined) return undefined;
    splits.set(split, [...(splits.get(split) ?? []), ...some]);
  }
  return splits.size > 0 ? splits : undefined;
}

function paths(value: unknown): readonly string[] | undefined {
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  return all.length > 0 && all.every((path) => typeof path === 'string') ? all : undefined;
}

function badCard(file: string, what: string): never {
  fail({
    code: 'data.card',
    message: l10n.t`the data set's card cannot be read: ${what}`,
    where: { file },
    mend: l10n.t`Download the files with \`hf download … --repo-type dataset\`, and name them in the run file.`,
  });
}
