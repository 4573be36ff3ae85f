import path from 'node:path';
import { pathKind } from '../../common/files.js';
import { isJsonObject } from '../../common/json.js';
import type { JsonObject } from '../../common/json.js';
import { fail } from '../../common/problem.js';
import { readJsonObject } from '../../models/boundedJson.js';
import { readRunText } from '../loadRunFile.js';
import { readYaml } from '../readYaml.js';
import { entryOf, plainValue } from '../tree.js';
import { importConfig } from './importConfig.js';
import type { Imported } from './importConfig.js';

/** LLaMA-Factory's own list has a few hundred data sets. */
const MAX_INFO_BYTES = 4 * 1024 * 1024;

/** Its paths start where it was run: at the root of a checkout, a few folders above its examples. */
const MOST_FOLDERS_UP = 4;

/**
 * Reads a config of another tool from disk and makes a run file of it, see {@link importConfig}. Data sets of
 * LLaMA-Factory are looked up in their `dataset_info.json`.
 * @param folder that the run file will be in, absolute; default: that of the config
 * @throws ProblemError what reading and {@link importConfig} throw
 */
export async function importFile(file: string, folder?: string): Promise<Imported> {
  const absolute = path.resolve(file);
  const text = await readRunText(absolute);
  if (typeof text !== 'string') return fail(text);
  const info = await datasetInfo(text, absolute);
  return importConfig(text, absolute, {
    ...(folder === undefined ? {} : { folder }),
    ...(info && { datasetFile: (name: string) => fileOf(info, name, path.dirname(absolute)) }),
  });
}

interface DatasetInfo {
  readonly folder: string;
  readonly sets: JsonObject;
}

async function datasetInfo(text: string, file: string): Promise<DatasetInfo | undefined> {
  const { root } = readYaml(text, file);
  if (root?.kind !== 'map' || entryOf(root, 'dataset') === undefined) return undefined;
  const named = entryOf(root, 'dataset_dir');
  const value = named && plainValue(named.value);
  const inside = typeof value === 'string' && value !== '' ? value : 'data';
  let above = path.dirname(file);
  for (let up = 0; up <= MOST_FOLDERS_UP; up++) {
    const folder = path.resolve(above, inside);
    const info = path.join(folder, 'dataset_info.json');
    if ((await pathKind(info)) === 'file') {
      return { folder, sets: await readJsonObject(info, { code: 'config', maxBytes: MAX_INFO_BYTES }) };
    }
    above = path.dirname(above);
  }
  return undefined;
}

/** The file of a data set, seen from `from`, or its id in the hub. */
function fileOf({ folder, sets }: DatasetInfo, name: string, from: string): string | undefined {
  const set = Object.hasOwn(sets, name) ? sets[name] : undefined;
  if (!isJsonObject(set)) return undefined;
  const { file_name: file, hf_hub_url: id } = set;
  if (typeof file === 'string') return path.relative(from, path.join(folder, file)).split(path.sep).join('/');
  return typeof id === 'string' ? id : undefined;
}
