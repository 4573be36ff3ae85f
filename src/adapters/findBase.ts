import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { pathKind } from '../common/files.js';
import { problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { parseModelId } from '../models/hub/ids.js';
import { hubSettings } from '../models/hub/settings.js';
import { FLOAT_DTYPES } from '../models/safetensors.js';
import { openSafetensorsFolder } from '../models/safetensorsFolder.js';
import type { FoundModule } from './findAdapters.js';

/** Where the base model that an adapter or a run names is. */
export interface FoundBase {
  /** The same for all that name the same model: a hub id, or an absolute path. */
  readonly key: string;
  /** `owner/name`, or the last part of the path. */
  readonly label: string;
  /** The folder or file on this machine; undefined where there is none. */
  readonly place: string | undefined;
  /** An id of the hub whose files are not on this machine yet: they can be downloaded. */
  readonly remote: boolean;
}

/** What no base is named by. */
const unnamedBase = (): FoundBase => ({
  key: '',
  label: l10n.t`Base model not named`,
  place: undefined,
  remote: false,
});

/**
 * The base model behind a name: a path as it is or seen from one of the folders, an id of the hub, or a path into
 * the hub's cache, which is the same as its id.
 *
 * @param folders where relative paths may start, the likeliest first
 */
export async function findBase(named: string | undefined, folders: readonly string[]): Promise<FoundBase> {
  if (named === undefined) return unnamedBase();
  const cached = /[\\/]models--([\w.-]+?)--([\w.-]+)[\\/]snapshots[\\/][^\\/]+[\\/]?$/.exec(named);
  if (cached !== null) {
    const id = `${cached[1]}/${cached[2]}`;
    const place = (await exists(named)) ? named : await hubPlace(id);
    return { key: id, label: id, place, remote: place === undefined };
  }
  for (const folder of path.isAbsolute(named) ? [''] : folders) {
    const place = path.resolve(folder, named);
    if (await exists(place)) return { key: place, label: path.basename(place), place, remote: false };
  }
  const repo = parseModelId(named)?.repo;
  if (repo !== undefined) {
    const place = await hubPlace(repo);
    return { key: repo, label: repo, place, remote: place === undefined };
  }
  return { key: named, label: path.basename(named.replaceAll('\\', '/')), place: undefined, remote: false };
}

/** The cache's folder of a repository: which of its snapshots is meant is found out when it is used. */
async function hubPlace(repo: string): Promise<string | undefined> {
  try {
    const folder = path.join(hubSettings().cache, `models--${repo.replace('/', '--')}`, 'snapshots');
    return (await exists(folder)) ? folder : undefined;
  } catch {
    // Settings of the hub that cannot be used are told when the hub is used.
    return undefined;
  }
}

async function exists(place: string): Promise<boolean> {
  try {
    return (await pathKind(place)) !== 'nothing';
  } catch {
    // Not ours to read: as good as not there.
    return false;
  }
}

/** The modules of a base model that have a matrix; `problem` where its headers cannot be read. */
export type BaseModules =
  | {
      /** Shapes by the path of the module; empty where the numbers are packed, so that the shape says nothing. */
      readonly shapes: ReadonlyMap<string, readonly number[]>;
      /** The same by what stands from the layer's number on; empty where several modules end so. */
      readonly tails: ReadonlyMap<string, readonly number[]>;
    }
  | { readonly problem: Problem };

/** Names of a matrix within its module; GPTQ and AWQ pack it. */
const MATRIX = /\.(?:weight|qweight)$/;

/** Reads the headers of a model folder; undefined for what is no folder with a config (a GGUF file, the cache). */
export async function readBaseModules(place: string): Promise<BaseModules | undefined> {
  try {
    if ((await pathKind(path.join(place, 'config.json'))) !== 'file') return undefined;
    const { tensors } = await openSafetensorsFolder(place);
    const shapes = new Map<string, readonly number[]>();
    const tails = new Map<string, readonly number[]>();
    for (const [name, { dtype, shape }] of tensors) {
      if (!MATRIX.test(name)) continue;
      const modulePath = name.replace(MATRIX, '');
      const known = FLOAT_DTYPES.includes(dtype) ? shape : [];
      shapes.set(shortPath(modulePath), known);
      const tail = tailOf(modulePath);
      if (tail !== undefined) tails.set(tail, tails.has(tail) ? [] : known);
    }
    return { shapes, tails };
  } catch (error) {
    return { problem: problemOf(error) };
  }
}

/** Checkpoints of one model are written with or without the name of their body in front. */
function shortPath(modulePath: string): string {
  return modulePath.replace(/^(?:model|transformer)\./, '');
}

/** `layers.3.mlp.up_proj`: models of several parts (vision, language) have further names in front. */
function tailOf(modulePath: string): string | undefined {
  return /(?:^|\.)((?:layers?|h|blocks?)\.\d+\..+)$/.exec(modulePath)?.[1];
}

/** Modules of an adapter that the base does not have, or whose matrices do not fit there, in sentences. */
export function unmatchedModules(modules: readonly FoundModule[], base: BaseModules): readonly string[] {
  if ('problem' in base) return [l10n.t`the base model cannot be read: ${base.problem.message}`];
  const absent: string[] = [];
  const misfits: string[] = [];
  for (const { path: modulePath, a, b } of modules) {
    const shape = base.shapes.get(shortPath(modulePath)) ?? base.tails.get(tailOf(modulePath) ?? '');
    // A tied output layer has no tensor of its own.
    if (shape === undefined && !/(?:^|\.)lm_head$/.test(modulePath)) absent.push(modulePath);
    if (shape === undefined || shape.length === 0) continue;
    // Linear [out, in]; GPT-2's [in, out] and embeddings the other way round.
    const [inputs, outputs] = [a[1]!, b[0]!];
    const fits = shape.length === 2 && shape.includes(inputs) && shape.includes(outputs);
    if (!fits)
      misfits.push(l10n.t`${modulePath} is [${shape.join(', ')}], the adapter's is [${outputs}, ${inputs}]`);
  }
  return [
    ...(absent.length > 0
      ? [l10n.t`${absent.length} of ${modules.length} modules are not in the base, such as ${absent[0]!}`]
      : []),
    ...(misfits.length > 0
      ? [l10n.t`${misfits.length} of ${modules.length} modules do not fit: ${misfits[0]!}`]
      : []),
  ];
}
