import type { Place } from '../common/problem.js';
import type { RunState } from '../engines/runState.js';
import type { RunEvent } from '../training/events.js';

/** What the editor sends to the panel's page. Nothing is sent before the page said `ready`. */
export type ToPage =
  /** A run from its beginning: the page forgets what it had. */
  | { readonly type: 'run'; readonly state: RunState; readonly events: readonly RunEvent[] }
  /** What happened since. */
  | { readonly type: 'more'; readonly state: RunState; readonly events: readonly RunEvent[] };

/** What the page sends to the editor. */
export type FromPage =
  | { readonly type: 'ready' }
  /** Everything up to here is drawn; the editor sends the next batch only after this. */
  | { readonly type: 'drawn'; readonly events: number }
  | { readonly type: 'train' }
  | { readonly type: 'stop' }
  | { readonly type: 'showLog' }
  | { readonly type: 'openRunFile' }
  | { readonly type: 'revealAdapter' }
  | { readonly type: 'openPlace'; readonly place: Place }
  | { readonly type: 'pageError'; readonly message: string };
