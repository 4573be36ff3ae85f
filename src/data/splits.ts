import * as l10n from '@vscode/l10n';
import { nearestName } from '../common/nearest.js';
import type { CardConfig } from './dataCard.js';
import { matchesGlob } from './glob.js';
import { DATA_EXTENSIONS } from './readRows.js';
import { listNames } from './row.js';

/** A split that was asked for: its files, or why it cannot be told, and what to ask for instead. */
export type SplitChoice =
  | { readonly files: readonly string[]; readonly split: string }
  | { readonly wrong: string; readonly mend: string };

/** What is asked for. */
export interface WantedSplit {
  /** `org/name`, for messages. */
  readonly repo: string;
  readonly config?: string;
  readonly split?: string;
  /** The split that is meant where none is named. */
  readonly usual: 'train' | 'validation';
}

/** In the order of preference where a data set has as many files of each: README and licences are text, too. */
const PREFERRED_ENDINGS = ['.parquet', '.jsonl', '.ndjson', '.json', '.csv', '.tsv', '.txt'];

/** What the `datasets` library takes for which split, in names of files and folders. */
const KEYWORDS: Readonly<Record<string, string>> = {
  train: 'train|training',
  validation: 'validation|valid|dev|val',
  test: 'test|testing|eval|evaluation',
};

/** Descriptions of data and texts about it, which are no data. */
const NO_DATA =
  /(?:^|\/)(?:\.|__)|(?:^|\/)(?:(?:dataset_infos?|metadata|config|state)\.json|(?:licen[cs]e|readme|notice|citation|requirements)[^/]*)$/i;

/** Whether a file of a repository can hold rows, by its name. */
export function isDataFile(path: string): boolean {
  return !NO_DATA.test(path) && DATA_EXTENSIONS.some((known) => path.toLowerCase().endsWith(known));
}

/**
 * The files of a split, as the `datasets` library finds them: those that the card names; else by the names of files
 * (`data/train-00000-of-00002.parquet`, `train.jsonl`) or folders (`train/a.csv`); else all files are `train`.
 *
 * @param paths all files of the repository
 * @param configs what its card says, see {@link cardConfigs}
 */
export function chooseSplit(
  paths: readonly string[],
  configs: readonly CardConfig[],
  wanted: WantedSplit,
): SplitChoice {
  const config = chooseConfig(configs, wanted);
  if (config !== undefined && 'wrong' in config) return config;
  const splits = config === undefined ? namedSplits(paths) : configSplits(paths, config);
  const names = [...splits.keys()];
  const others = names.length === 0 ? l10n.t`it has no file that can be read` : l10n.t`it has ${listNames(names)}`;
  const form = `${wanted.repo}${wanted.config === undefined ? '' : `/${wanted.config}`}:SPLIT`;
  // The only split there is may be trained on under any name; rows to evaluate on are not picked so.
  const only = wanted.usual === 'train' && names.length === 1 ? names[0] : undefined;
  const split = wanted.split ?? (names.includes(wanted.usual) ? wanted.usual : only);
  if (split === undefined)
    return { wrong: l10n.t`no split is named, and ${others}`, mend: l10n.t`Name one: ${form}.` };
  const files = splits.get(split);
  if (files !== undefined && files.length > 0) return { files, split };
  if (files !== undefined) {
    return {
      wrong: l10n.t`none of the files that its card names for split "${split}" is there`,
      mend: l10n.t`Name another split.`,
    };
  }
  const near = nearestName(split, names);
  return {
    wrong: l10n.t`there is no split "${split}"; ${others}`,
    mend: near === undefined ? l10n.t`Name one that there is: ${form}.` : l10n.t`Did you mean "${near}"?`,
  };
}

function chooseConfig(
  configs: readonly CardConfig[],
  { repo, config, split }: WantedSplit,
): CardConfig | { wrong: string; mend: string } | undefined {
  const names = configs.map(({ name }) => name);
  const form = `${repo}/CONFIG${split === undefined ? '' : `:${split}`}`;
  if (config !== undefined) {
    const found = configs.find(({ name }) => name === config);
    if (found !== undefined || (config === 'default' && configs.length === 0)) return found;
    const near = nearestName(config, names);
    return {
      wrong: l10n.t`there is no configuration "${config}"; its card names ${listNames(names)}`,
      mend: near === undefined ? l10n.t`Name one that there is, or none.` : l10n.t`Did you mean "${near}"?`,
    };
  }
  if (configs.length <= 1) return configs[0];
  const usual = configs.find(({ isDefault }) => isDefault) ?? configs.find(({ name }) => name === 'default');
  return (
    usual ?? {
      wrong: l10n.t`it has several configurations: ${listNames(names)}`,
      mend: l10n.t`Name one: ${form}.`,
    }
  );
}

function configSplits(paths: readonly string[], config: CardConfig): Map<string, readonly string[]> {
  const { folder, splits } = config;
  const inside = folder ? paths.filter((path) => path.startsWith(`${folder}/`)) : paths;
  if (splits.size === 0) return namedSplits(inside, folder);
  const found = new Map<string, readonly string[]>();
  for (const [split, patterns] of splits) {
    const wanted = patterns.map((pattern) => (folder ? `${folder}/${pattern}` : pattern));
    found.set(
      split,
      inside.filter((path) => wanted.some((pattern) => matchesGlob(path, pattern))),
    );
  }
  return found;
}

/** Splits by the names of files. Only files of one kind are data: those of the most frequent ending. */
function namedSplits(paths: readonly string[], folder = ''): Map<string, readonly string[]> {
  const data = mostFrequent(paths.filter(isDataFile));
  const below = (path: string): string => path.slice(folder === '' ? 0 : folder.length + 1);
  const byName = (nameOf: (path: string) => string | undefined): Map<string, readonly string[]> => {
    const splits = new Map<string, string[]>();
    for (const path of data) {
      const name = nameOf(path);
      if (name !== undefined) splits.set(name, [...(splits.get(name) ?? []), path]);
    }
    return splits;
  };
  const ways = [
    byName((path) => /^data\/(\w+(?:\.\w+)*)-\d{5}-of-\d{5}/.exec(below(path))?.[1]),
    byName((path) => keywordIn(below(path).split('/').at(-1)!)),
    byName((path) => keywordIn(below(path).split('/').slice(0, -1).join('/'))),
  ];
  return ways.find((splits) => splits.size > 0) ?? new Map(data.length > 0 ? [['train', data]] : []);
}

function keywordIn(name: string): string | undefined {
  return Object.keys(KEYWORDS).find((split) =>
    new RegExp(`(?:^|[-._ 0-9/])(?:${KEYWORDS[split]})(?:[-._ 0-9/]|$)`).test(name),
  );
}

function mostFrequent(paths: readonly string[]): readonly string[] {
  const groups = PREFERRED_ENDINGS.map((ending) => paths.filter((path) => path.toLowerCase().endsWith(ending)));
  return groups.reduce((best, group) => (group.length > best.length ? group : best), []);
}
