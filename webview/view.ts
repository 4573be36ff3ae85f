import type { RunState } from '../src/engines/runState.js';
import type { FromPage } from '../src/host/protocol.js';
import type { RunModel } from './runModel.js';

/** A part of the page: its element, and how it is brought up to date. */
export interface View {
  readonly element: HTMLElement;
  draw(model: RunModel, state: RunState): void;
}

/** How a view speaks to the editor. */
export type Send = (message: FromPage) => void;
