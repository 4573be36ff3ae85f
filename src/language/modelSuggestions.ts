import { stat } from 'node:fs/promises';
import path from 'node:path';
import { formatBytes, formatCount } from '../common/format.js';
import { asValue } from '../config/asValue.js';
import { isModelFolder, cachedModels } from './modelHub.js';
import { modelFacts } from './modelFacts.js';
import { pathAsWritten } from './modelText.js';
import { walkFolders } from './modelWalk.js';
import { columnSuggestions, dataSuggestions } from './dataSuggestions.js';
import { layerSuggestions, moduleSuggestions } from './patternsSuggestions.js';
import type { Cursor, RunDocument, Suggestion } from './runDocument.js';

/** Where models are looked for beside the run file's own folder. */
export interface ModelPlaces {
  /** Folders of the workspace, absolute. */
  readonly folders: readonly string[];
  /** Further folders: the setting `peftStudio.modelFolders`, absolute. */
  readonly modelFolders: readonly string[];
}

/** Longer lists help nobody. */
const MAX_MODELS = 200;
/** Headers read for the details of one list; the others are told by their size. */
const MAX_DESCRIBED = 40;

/** Options whose values, or keys, name modules of the model. */
const MODULE_VALUES = new Set(['target_modules', 'exclude_modules', 'modules_to_save']);
const MODULE_KEYS = new Set(['rank_pattern', 'alpha_pattern']);

/**
 * What the model and the data on this machine offer at the cursor: models, data files, names of modules, columns.
 * Nothing but headers and first rows is read. Elsewhere: nothing. `signal` ends it with an AbortError.
 */
export async function suggestAt(
  document: RunDocument,
  cursor: Cursor,
  places: ModelPlaces,
  signal?: AbortSignal,
): Promise<readonly Suggestion[]> {
  signal?.throwIfAborted();
  const [section, ...rest] = cursor.path;
  const [option, below] = rest.filter((step, at) => section !== 'method' || at > 0 || typeof step === 'string');
  const isValue = cursor.part === 'value';
  switch (section) {
    case 'model':
      return isValue ? modelSuggestions(document, places, signal) : [];
    case 'data':
      if ((option === 'train' || option === 'validation') && isValue) return dataSuggestions(document, signal);
      return option === 'columns' && typeof below === 'string' && isValue
        ? columnSuggestions(document, signal)
        : [];
    case 'method':
      if (typeof option !== 'string') return [];
      if (MODULE_VALUES.has(option) && isValue) return moduleSuggestions(document, cursor, signal);
      if (MODULE_KEYS.has(option) && !isValue && below !== undefined) {
        return moduleSuggestions(document, cursor, signal);
      }
      return option === 'layers_to_transform' && isValue ? layerSuggestions(document, signal) : [];
    default:
      return [];
  }
}

interface Candidate {
  /** As a run file would write it. */
  readonly text: string;
  readonly place: string;
  readonly order: string;
}

async function modelSuggestions(
  { file, folder }: RunDocument,
  { folders, modelFolders }: ModelPlaces,
  signal?: AbortSignal,
): Promise<readonly Suggestion[]> {
  const candidates = new Map<string, Candidate>();
  const roots = [folder, ...folders, ...modelFolders];
  for (const [index, root] of roots.entries()) {
    for (const walked of await walkFolders(root, signal)) {
      const ggufs = walked.names.filter((name) => /\.gguf$/i.test(name));
      const found = [
        ...(isModelFolder(walked.names) ? [walked.folder] : []),
        ...ggufs.map((name) => path.join(walked.folder, name)),
      ];
      for (const place of found) {
        const text = pathAsWritten(place, folder);
        // A folder below is told from an id of the hub at a glance.
        const shown = /^(\.|\/|\w:)/.test(text) ? text : `./${text}`;
        if (!candidates.has(place))
          candidates.set(place, { text: shown, place, order: String(index === 0 ? 0 : 1) });
      }
    }
  }
  for (const { id, place } of await cachedModels(signal)) candidates.set(place, { text: id, place, order: '2' });
  const listed = [...candidates.values()].slice(0, MAX_MODELS);
  const suggestions: Suggestion[] = [];
  for (const [index, { text, place, order }] of listed.entries()) {
    signal?.throwIfAborted();
    const detail = await describePlace(place, index < MAX_DESCRIBED);
    const insert = asValue(text, file);
    suggestions.push({
      label: text,
      kind: 'model',
      order,
      ...(detail && { detail }),
      ...(insert !== text && { insert }),
    });
  }
  return suggestions;
}

/** `llama, 134,515,008 parameters, 256 MiB`. A GGUF file is told by its size: its header takes long to read. */
async function describePlace(place: string, withHeader: boolean): Promise<string | undefined> {
  const found = await stat(place).catch(() => undefined);
  if (found?.isFile() === true) return `GGUF, ${formatBytes(found.size)}`;
  const reading = withHeader ? await modelFacts(place) : undefined;
  if (reading === undefined) return undefined;
  if ('problem' in reading) return `cannot be used: ${reading.problem.message}`;
  const { model, parameters, bytes } = reading.facts;
  return `${model.modelType}, ${formatCount(parameters)} parameters, ${formatBytes(bytes)}`;
}
