import type { CombinationForm, CombinationKind } from '../engines/combination/form.js';
import type { CombinationPreview } from '../engines/combination/preview.js';

/** An adapter of the form, as the page names it. */
export interface CombinedAdapter {
  readonly folder: string;
  readonly name: string;
  /** From the workspace's root, where it lies in it. */
  readonly place: string;
  /** `lora`; undefined: it is gone, or cannot be read. */
  readonly method: string | undefined;
  /** Of its modules, least and largest. */
  readonly ranks: readonly [number, number] | undefined;
  /** Numbers in its weights. */
  readonly trained: number | undefined;
}

/** How the preview of the present form stands. */
export type PreviewState =
  /** It is that of the form, or the form has a fault: nothing is going on. */
  | { readonly kind: 'settled' }
  | { readonly kind: 'computing'; readonly activity: string; readonly done: number; readonly total: number }
  /** In sentences, with what mends it. */
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'untrusted' };

/** What the editor sends to the page. Nothing is sent before the page said `ready`. */
export interface ToCombine {
  readonly type: 'combination';
  /** The number of the page's last change that this takes in. */
  readonly seen: number;
  readonly form: CombinationForm;
  readonly kind: CombinationKind;
  readonly adapters: readonly CombinedAdapter[];
  /** The base model's name; empty: the adapters name none. */
  readonly base: string;
  /** The command line that does the same; undefined while the form has a fault. */
  readonly command: string | undefined;
  readonly state: PreviewState;
  /** The last one that could be computed, with its number: also of a form before this one. */
  readonly preview: { readonly number: number; readonly found: CombinationPreview } | undefined;
  /** An adapter is being written. */
  readonly writing: boolean;
}

/** What the page sends to the editor, beside what every page says. */
export type FromCombine =
  | { readonly type: 'change'; readonly number: number; readonly form: CombinationForm }
  | { readonly type: 'addAdapter' }
  | { readonly type: 'chooseBase' }
  | { readonly type: 'write' }
  /** Computes the preview again. */
  | { readonly type: 'again' }
  | { readonly type: 'copy'; readonly text: string }
  /** A preview is drawn, so many modules. */
  | { readonly type: 'drawn'; readonly number: number; readonly modules: number };

/** What the page keeps over a reload of the window. */
export interface KeptCombination {
  readonly form: CombinationForm;
  /** Of the map. */
  readonly quantity: string;
}
