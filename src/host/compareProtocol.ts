import type { RunComparison } from '../engines/runComparison.js';

/** What the editor sends to the page of a comparison. Nothing is sent before the page said `ready`. */
export type ToCompare =
  | { readonly type: 'reading' }
  | { readonly type: 'comparison'; readonly comparison: RunComparison }
  | { readonly type: 'failed'; readonly message: string };

/** What the page sends to the editor, beside what every page says. */
export type FromCompare =
  | { readonly type: 'again' }
  /** A comparison is drawn: of so many runs. */
  | { readonly type: 'drawn'; readonly runs: number }
  | { readonly type: 'openPanel'; readonly folder: string };
