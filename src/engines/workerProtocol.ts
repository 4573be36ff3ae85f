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
  | { readonly type: 'stop' }
  /** Finish the present step, then wait (`paused`) for `continue` or `stop`. */
  | { readonly type: 'pause' }
  /** Go on (`continued`). */
  | { readonly type: 'continue' }
  /** Write a checkpoint after the present step, at once in a pause; the run goes on. */
  | { readonly type: 'checkpoint' };

/** What may be asked of a run that goes. */
export type Wish = Exclude<WorkerRequest['type'], 'train'>;

/** Exit codes of the worker process. */
export interface WorkerExit {
  readonly completed: 0;
  readonly failed: 1;
  readonly stopped: 130;
}
