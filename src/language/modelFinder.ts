import * as l10n from '@vscode/l10n';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { formatBytes, formatCount } from '../common/format.js';
import { cachedModels, isModelFolder } from './modelHub.js';
import { modelFacts } from './modelFacts.js';
import { pathAsWritten } from './modelText.js';
import { walkFolders } from './modelWalk.js';

/** Where models are looked for beside the run file's own folder. */
export interface ModelPlaces {
  /** Folders of the workspace, absolute. */
  readonly folders: readonly string[];
  /** Further folders: the setting `peftStudio.modelFolders`, absolute. */
  readonly modelFolders: readonly string[];
}

/** A model on this machine. */
export interface FoundModel {
  /** As a run file would write it. */
  readonly text: string;
  /** The folder or GGUF file, absolute. */
  readonly place: string;
  /** What is nearest comes first: the run file's folder, other folders, the hub's cache. */
  readonly order: string;
  /** Its kind and size, or why it cannot be used. */
  readonly detail?: string;
}

/** Longer lists help nobody. */
const MAX_MODELS = 200;
/** Headers read for the details of one list; the others are told by their size. */
const MAX_DESCRIBED = 40;

/** The models of this machine, as a run file in `folder` names them. `signal` ends it with an AbortError. */
export async function findModels(
  folder: string,
  { folders, modelFolders }: ModelPlaces,
  signal?: AbortSignal,
): Promise<readonly FoundModel[]> {
  const candidates = new Map<string, FoundModel>();
  const roots = [folder, ...folders, ...modelFolders];
  for (const [index, root] of roots.entries()) {
    for (const walked of await walkFolders(root, signal)) {
      const ggufs = walked.names.filter((name) => /\.gguf$/i.test(name));
      const found = [
        ...(isModelFolder(walked.names) ? [walked.folder] : []),
        ...ggufs.map((name) => path.join(walked.folder, name)),
      ];
      for (const place of found) {
        if (candidates.has(place)) continue;
        candidates.set(place, { text: modelAsWritten(place, folder), place, order: index === 0 ? '0' : '1' });
      }
    }
  }
  for (const { id, place } of await cachedModels(signal)) candidates.set(place, { text: id, place, order: '2' });
  const described: FoundModel[] = [];
  for (const [index, candidate] of [...candidates.values()].slice(0, MAX_MODELS).entries()) {
    signal?.throwIfAborted();
    const detail = await describePlace(candidate.place, index < MAX_DESCRIBED);
    described.push(detail === undefined ? candidate : { ...candidate, detail });
  }
  return described;
}

/** A model's path as a run file in `folder` writes it: one below is told from an id of the hub at a glance. */
export function modelAsWritten(place: string, folder: string): string {
  const text = pathAsWritten(place, folder);
  return /^(\.|\/|\w:)/.test(text) ? text : `./${text}`;
}

/** `llama, 134,515,008 parameters, 256 MiB`. A GGUF file is told by its size: its header takes long to read. */
async function describePlace(place: string, withHeader: boolean): Promise<string | undefined> {
  const found = await stat(place).catch(() => undefined);
  if (found?.isFile() === true) return l10n.t`GGUF, ${formatBytes(found.size)}`;
  const reading = withHeader ? await modelFacts(place) : undefined;
  if (reading === undefined) return undefined;
  if ('problem' in reading) return l10n.t`cannot be used: ${reading.problem.message}`;
  const { model, parameters, bytes } = reading.facts;
  return l10n.t`${model.modelType}, ${formatCount(parameters)} parameters, ${formatBytes(bytes)}`;
}
