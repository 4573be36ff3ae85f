import type { Place } from '../common/problem.js';
import type { DataPreview } from '../engines/dataPreview.js';

/** What the editor sends to the page of a data preview. Nothing is sent before the page said `ready`. */
export type ToPreview =
  /** With the run file, absolute: what was shown of another goes. */
  | { readonly type: 'reading'; readonly file: string }
  | { readonly type: 'preview'; readonly preview: DataPreview }
  /** Why there is none; what was shown of the same file before stays. */
  | { readonly type: 'failed'; readonly message: string };

/** What the page sends to the editor, beside what every page says. */
export type FromPreview =
  | { readonly type: 'again' }
  /** A preview is drawn: the number of its samples. */
  | { readonly type: 'drawn'; readonly samples: number }
  | { readonly type: 'openPlace'; readonly place: Place };
