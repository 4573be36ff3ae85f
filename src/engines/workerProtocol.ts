/** What the parent of a worker process sends; the worker answers with run events (`training/events.ts`). */
export type WorkerRequest =
  | { readonly type: 'train'; readonly file: string; readonly overrides?: readonly string[] }
  /** Finish the present step, write the adapter so far, end with `finished` and reason `stopped`. */
  | { readonly type: 'stop' };

/** Exit codes of the worker process. */
export interface WorkerExit {
  readonly completed: 0;
  readonly failed: 1;
  readonly stopped: 130;
}
