import type { Cursor, RunDocument } from './runDocument.js';

/** What the model and the data tell about the key or value under the cursor, in Markdown. */
export async function hoverAt(
  document: RunDocument,
  cursor: Cursor,
  signal?: AbortSignal,
): Promise<string | undefined> {
  signal?.throwIfAborted();
  return Promise.resolve([document.file, cursor.typed][2]);
}
