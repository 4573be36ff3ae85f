import * as l10n from '@vscode/l10n';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ProblemError, fail } from '../common/problem.js';
import { cachedFiles, knownListing, noteListing, snapshotFolder } from '../models/hub/cache.js';
import { named, pageOf, withHub } from '../models/hub/context.js';
import type { HubContext, HubOptions } from '../models/hub/context.js';
import { dataIdAt } from '../models/hub/ids.js';
import type { DataId } from '../models/hub/ids.js';
import { filesAt } from '../models/hub/listing.js';
import { bringFiles, readRevision } from '../models/hub/snapshot.js';
import { cardConfigs } from './dataCard.js';
import type { CardConfig } from './dataCard.js';
import { DATA_EXTENSIONS } from './readRows.js';
import { chooseSplit, isDataFile } from './splits.js';
import type { SplitChoice } from './splits.js';

const CARD = 'README.md';
/** The longest cards, of multilingual data sets, have some hundred kB. */
const MAX_CARD_BYTES = 8 * 1024 * 1024;
/** Where the hub keeps its own conversion of every public data set. */
const CONVERTED = 'refs/convert/parquet';
const SHARD = /-(\d{5})-of-(\d{5})/;

/**
 * The files on this machine that hold what a `data` entry names. A path is itself, whether it exists or not: the
 * reader says what is missing. An id of a data set in the hub (`org/name`, then `@revision`, `/config`, `:split` as
 * needed) becomes the files of that split, downloaded into the hub's cache; where its own files are of a kind that is
 * not read, the Parquet files that the hub makes of every data set are taken.
 *
 * Errors: `data.split`, `data.hub-format`, `data.card`, and those of the hub.
 *
 * @param usual the split that is meant where none is named
 */
export async function dataFiles(
  entry: string,
  usual: 'train' | 'validation',
  options: HubOptions,
): Promise<readonly string[]> {
  const folder = path.resolve(options.folder ?? '.');
  const id = await dataIdAt(entry, folder);
  if (id === undefined) return [path.resolve(folder, entry)];
  return withHub('dataset', id.repo, options, async (context) => {
    const own = await splitFiles(context, id, id.revision ?? 'main', usual, options.warn);
    if (own.length > 0) return own;
    if (id.revision !== undefined) return unreadFormat(context);
    return convertedFiles(context, id, usual, options.warn);
  });
}

/** The files of a split in a revision; none where they are of a kind that is not read. */
async function splitFiles(
  context: HubContext,
  id: DataId,
  revision: string,
  usual: 'train' | 'validation',
  warn: HubOptions['warn'],
): Promise<readonly string[]> {
  const choose = (paths: readonly string[], configs: readonly CardConfig[]): SplitChoice => {
    const choice = chooseSplit(paths, configs, { ...id, usual });
    if ('wrong' in choice) return paths.some(isDataFile) ? choice : { files: [], split: '' };
    return { ...choice, files: choice.files.filter(isDataFile) };
  };
  return readRevision(
    context,
    revision,
    {
      async online(commit) {
        const files = await filesAt(context, commit);
        const card = files.find(({ path: name }) => name === CARD);
        const cards = card !== undefined && card.size <= MAX_CARD_BYTES ? [card] : [];
        const folder = await bringFiles(context, commit, cards);
        const names = files.map(({ path: name }) => name);
        const choice = choose(names, cards.length > 0 ? await readCard(folder) : []);
        await noteListing(context, commit, files);
        if ('wrong' in choice) return wrongSplit(context, choice);
        const wanted = new Set(choice.files);
        await bringFiles(
          context,
          commit,
          files.filter(({ path: name }) => wanted.has(name)),
        );
        return choice.files.map((name) => path.join(folder, ...name.split('/')));
      },
      async cached(commit) {
        const here = new Set(await cachedFiles(context, commit));
        const folder = snapshotFolder(context, commit);
        const listing = await knownListing(context, commit);
        // Without a listing, a snapshot with its card is taken for a whole one.
        if (listing === undefined && !here.has(CARD)) return undefined;
        const choice = choose(listing ?? [...here], here.has(CARD) ? await readCard(folder) : []);
        if ('wrong' in choice) return listing === undefined ? undefined : wrongSplit(context, choice);
        const whole = choice.files.every((name) => here.has(name)) && hasAllShards(choice.files);
        return whole ? choice.files.map((name) => path.join(folder, ...name.split('/'))) : undefined;
      },
    },
    warn,
  );
}

async function readCard(folder: string): Promise<CardConfig[]> {
  const file = path.join(folder, CARD);
  return cardConfigs(await readFile(file, 'utf8'), file);
}

/** The hub's own Parquet files: `CONFIG/SPLIT/0000.parquet`, or `CONFIG/partial-SPLIT/…` of very large data sets. */
async function convertedFiles(
  context: HubContext,
  id: DataId,
  usual: 'train' | 'validation',
  warn: HubOptions['warn'],
): Promise<readonly string[]> {
  const partial = /(?:^|\/)partial-(?=[^/]+\/[^/]+$)/;
  const reading = readRevision(
    context,
    CONVERTED,
    {
      async online(commit) {
        const files = (await filesAt(context, commit)).filter(({ path: name }) => name.endsWith('.parquet'));
        const choice = chooseConverted(
          files.map(({ path: name }) => name),
          id,
          usual,
        );
        if ('wrong' in choice) return files.length > 0 ? wrongSplit(context, choice) : unreadFormat(context);
        const wanted = files.filter(({ path: name }) => choice.files.includes(name));
        if (wanted.some(({ path: name }) => partial.test(name))) {
          warn?.({
            code: 'data.hub-partial',
            severity: 'warning',
            message: l10n.t`of ${named(context)} the hub has converted the first part only (split ${choice.split}); that part is read`,
            mend: l10n.t`Download and convert the files of the data set to read all of it.`,
          });
        }
        await noteListing(context, commit, files);
        const folder = await bringFiles(context, commit, wanted);
        return wanted.map(({ path: name }) => path.join(folder, ...name.split('/')));
      },
      async cached(commit) {
        const listing = await knownListing(context, commit);
        const choice = listing && chooseConverted(listing, id, usual);
        if (choice === undefined || 'wrong' in choice) return undefined;
        const here = new Set(await cachedFiles(context, commit));
        const folder = snapshotFolder(context, commit);
        return choice.files.every((name) => here.has(name))
          ? choice.files.map((name) => path.join(folder, ...name.split('/')))
          : undefined;
      },
    },
    warn,
  );
  return reading.catch((error: unknown) => {
    const none = error instanceof ProblemError && error.problem.code === 'hub.revision-not-found';
    return none ? unreadFormat(context) : Promise.reject(error);
  });
}

function chooseConverted(paths: readonly string[], id: DataId, usual: 'train' | 'validation'): SplitChoice {
  const configs = new Map<string, Map<string, string[]>>();
  for (const file of paths) {
    const [, config, split] = /^([^/]+)\/(?:partial-)?([^/]+)\/[^/]+\.parquet$/.exec(file) ?? [];
    if (config === undefined || split === undefined) continue;
    const splits = configs.get(config) ?? new Map<string, string[]>();
    splits.set(split, [...(splits.get(split) ?? []), file]);
    configs.set(config, splits);
  }
  const asCard = [...configs].map(([name, splits]) => ({ name, isDefault: false, splits }));
  return chooseSplit(paths, asCard, { ...id, usual });
}

/** Whether files that say of how many they are one are all there. */
function hasAllShards(names: readonly string[]): boolean {
  const groups = new Map<string, number>();
  for (const name of names) {
    const [, , count] = SHARD.exec(name) ?? [];
    if (count === undefined) continue;
    const group = `${name.slice(0, name.search(SHARD))} ${count}`;
    groups.set(group, (groups.get(group) ?? 0) + 1);
  }
  return [...groups].every(([group, found]) => found >= Number(group.slice(-5)));
}

function wrongSplit(context: HubContext, { wrong, mend }: { wrong: string; mend: string }): never {
  fail({
    code: 'data.split',
    message: `${named(context)}: ${wrong}`,
    expected: l10n.t`a split of ${pageOf(context)}`,
    mend,
  });
}

function unreadFormat(context: HubContext): never {
  fail({
    code: 'data.hub-format',
    message: l10n.t`${named(context)} has no file of a kind that is read, and the hub has not converted it`,
    expected: l10n.t`files that end in ${DATA_EXTENSIONS.join(', ')}`,
    mend: l10n.t`Convert it once, in Python: datasets.load_dataset("${context.repo}", split=SPLIT).to_parquet("data.parquet"); then name that file.`,
  });
}
