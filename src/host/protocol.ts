import type { Place } from '../common/problem.js';
import type { RunState } from '../engines/runState.js';
import type { RunEvent } from '../training/events.js';

/** The tabs of the page. */
export type PanelTab = 'loss' | 'coverage' | 'data' | 'memory';

/** What the editor sends to the panel's page. Nothing is sent before the page said `ready`. */
export type ToPage =
  | RunToPage
  /** Brings a tab to the front. */
  | { readonly type: 'showTab'; readonly tab: PanelTab };

/** The run, as the page is fed with it. */
export type RunToPage =
  /** A run from its beginning: the page forgets what it had. */
  | { readonly type: 'run'; readonly state: RunState; readonly events: readonly RunEvent[] }
  /** What happened since. */
  | { readonly type: 'more'; readonly state: RunState; readonly events: readonly RunEvent[] };

/** What the page sends to the editor. */
export type FromPage =
  | { readonly type: 'ready' }
  /** So many events are drawn, and the next batch may come; fewer than were sent when drawing failed. */
  | { readonly type: 'drawn'; readonly events: number }
  /** A tab came to the front and is drawn. */
  | { readonly type: 'tabShown'; readonly tab: PanelTab }
  | { readonly type: 'train' }
  | { readonly type: 'resume' }
  | { readonly type: 'stop' }
  | { readonly type: 'showLog' }
  | { readonly type: 'openRunFile' }
  | { readonly type: 'revealAdapter' }
  | { readonly type: 'openPlace'; readonly place: Place }
  /** Something in the page went wrong; the editor logs and counts it. */
  | { readonly type: 'pageError'; readonly message: string };
