import { asValue } from '../config/asValue.js';
import { findModels } from './modelFinder.js';
import type { ModelPlaces } from './modelFinder.js';
import { columnSuggestions, dataSuggestions } from './dataSuggestions.js';
import { layerSuggestions, moduleSuggestions } from './patternsSuggestions.js';
import type { Cursor, RunDocument, Suggestion } from './runDocument.js';

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
      if (option === 'task_column' || (option === 'columns' && typeof below === 'string')) {
        return isValue ? columnSuggestions(document, signal) : [];
      }
      return [];
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

async function modelSuggestions(
  { file, folder }: RunDocument,
  places: ModelPlaces,
  signal?: AbortSignal,
): Promise<readonly Suggestion[]> {
  const found = await findModels(folder, places, signal);
  return found.map(({ text, order, detail }) => {
    const insert = asValue(text, file);
    return {
      label: text,
      kind: 'model' as const,
      order,
      ...(detail !== undefined && { detail }),
      ...(insert !== text && { insert }),
    };
  });
}
