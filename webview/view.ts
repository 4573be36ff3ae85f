import type { RunState } from '../src/engines/runState.js';
import type { PageMessage } from '../src/host/protocol.js';
import type { Kept } from './kept.js';
import type { Ask } from './requests.js';
import type { RunModel } from './runModel.js';

/** A part of the page: its element, and how it is brought up to date. */
export interface View {
  readonly element: HTMLElement;
  draw(model: RunModel, state: RunState): void;
}

/** A view behind a tab; it is drawn while its tab is in front. */
export interface TabView extends View {
  /** Names the tab, also for tests and for what is kept over a reload. */
  readonly id: string;
  readonly title: string;
  /** A count beside the title; nothing where it is 0. */
  readonly badge?: (model: RunModel) => number;
  /** Whether the run has something to show here: the tab is hidden otherwise. */
  readonly hasContent?: (model: RunModel) => boolean;
}

/** How a view speaks to the editor. */
export type Send = (message: PageMessage) => void;

/** What a view may need of the page. */
export interface Page {
  readonly send: Send;
  readonly ask: Ask;
  /** What the user chose; a view changes its own part and calls `keep`. */
  readonly kept: Kept;
  /** Keeps what was chosen over a reload, and draws anew. */
  readonly keep: () => void;
}
