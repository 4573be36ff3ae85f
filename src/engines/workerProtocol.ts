/** What the parent of a worker process sends; the worker answers with run events (`training/events.ts`). */
export type WorkerRequest =
  | {
      readonly type: 'train';
      /** The run file; to go on with a certain run, that run's folder. */
      readonly file: string;
      readonly overrides?: readonly string[];
      /** Go on with the run file's newest run that did not come to its end, or with the one whose folder is named. */
      readonly resume?: boolean;
    }
  /** Finish the present step, write the adapter so far, end with `finished` and reason `stopped`. */
  | { readonly type: 'stop' };

/** Exit codes of the worker process. */
export interface WorkerExit {
  readonly completed: 0;
  readonly failed: 1;
  readonly stopped: 130;
}
