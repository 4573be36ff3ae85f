import type { HubRecord } from '../engines/composition/record.js';

/** A search for a mixture, as it is asked for. */
export interface WantedMixture {
  /** Folders of LoRA adapters of one base model. */
  readonly adapters: readonly string[];
  /** The examples. */
  readonly data: string;
  readonly budget: number;
  /** The base model, or a run file that says how rows become text; absent: the base that the adapters name. */
  readonly model?: string;
  /** Rows that the search does not see, to measure on. */
  readonly heldOut?: string;
}

/** How a search stands. */
export type MixtureState =
  /** With what is done now. */
  | { readonly kind: 'running'; readonly activity: string }
  | { readonly kind: 'ended' }
  /** Before its end: by its button, or with its window. */
  | { readonly kind: 'stopped' }
  /** In sentences, with what mends it. */
  | { readonly kind: 'failed'; readonly message: string };

/** A search as the page shows it, and as it is kept over a reload of the window. */
export interface ShownMixture {
  /** Absent: it is one of the past, read beside its adapter. */
  readonly wanted?: WantedMixture;
  /** Absent before its first word. */
  readonly search?: HubRecord;
  readonly state: MixtureState;
  /** The folder that the mixture was written to. */
  readonly out?: string;
}

/** What the editor sends to the page. Nothing is sent before the page said `ready`. */
export interface ToCompose {
  readonly type: 'mixture';
  readonly mixture: ShownMixture;
  /** An adapter is being written. */
  readonly writing: boolean;
}

/** What the page sends to the editor, beside what every page says. */
export type FromCompose =
  /** So many trials are drawn. */
  | { readonly type: 'drawn'; readonly trials: number }
  | { readonly type: 'stop' }
  | { readonly type: 'again' }
  | { readonly type: 'write' }
  | { readonly type: 'reveal' }
  | { readonly type: 'try' }
  | { readonly type: 'playground' }
  | { readonly type: 'save'; readonly name: string; readonly text: string };
