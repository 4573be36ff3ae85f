import type { MethodComparison } from '../engines/compareMethods/comparison.js';

/** What the editor sends to the page of compared methods. Nothing is sent before the page said `ready`. */
export type ToMethods =
  | {
      readonly type: 'comparison';
      readonly comparison: MethodComparison;
      /** Runs of it are going on in this window. */
      readonly running: boolean;
    }
  | { readonly type: 'failed'; readonly message: string };

/** What the page sends to the editor, beside what every page says. */
export type FromMethods =
  /** A comparison is drawn: so many methods, after so many runs. */
  | { readonly type: 'drawn'; readonly methods: number; readonly done: number }
  | { readonly type: 'stop' }
  | { readonly type: 'goOn' }
  | { readonly type: 'openPanel'; readonly folder: string }
  | { readonly type: 'save'; readonly name: string; readonly text: string };
