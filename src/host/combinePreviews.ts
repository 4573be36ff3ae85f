import { sentences } from '../common/sentences.js';
import { isPreview } from '../engines/combination/preview.js';
import type { CombinationPreview } from '../engines/combination/preview.js';
import * as l10n from '@vscode/l10n';
import type { PreviewState } from './combineProtocol.js';
import type { Jobs } from './job.js';

/** Previews in the background: one at a time, that of the last wish. */
export interface Previews {
  /** Computes one soon, once no other is wished for; what is at work on another is taken back. */
  wish(args: readonly string[]): void;
  /** Takes back what is at work. */
  cancel(): void;
}

/** Longer than between two keys or two steps of a slider. */
const WAIT_MS = 350;
/** Progress is told no more often. */
const TELL_MS = 100;

/**
 * Makes the previews of one page.
 * @param told how it stands, and what was found, once
 */
export function createPreviews(
  jobs: Pick<Jobs, 'run'>,
  told: (state: PreviewState, found?: CombinationPreview) => void,
  waitMs: number = WAIT_MS,
): Previews {
  let present: { readonly stop: AbortController; readonly timer: NodeJS.Timeout } | undefined;

  function cancel(): void {
    clearTimeout(present?.timer);
    present?.stop.abort();
    present = undefined;
  }

  async function compute(args: readonly string[], stop: AbortController): Promise<void> {
    const { signal } = stop;
    let state: PreviewState = { kind: 'failed', message: l10n.t`Cancelled.` };
    let toldAt = 0;
    const document = await jobs.run({
      title: l10n.t`Preview of combined adapters`,
      args: [...args, '--preview'],
      signal,
      onFailure: (problem) => (state = { kind: 'failed', message: sentences(problem) }),
      onProgress(progress) {
        if (signal.aborted || Date.now() - toldAt < TELL_MS) return;
        toldAt = Date.now();
        told({ kind: 'computing', ...progress });
      },
    });
    if (signal.aborted) return;
    present = undefined;
    if (isPreview(document)) told({ kind: 'settled' }, document);
    else told(state);
  }

  return {
    cancel,
    wish(args) {
      cancel();
      const stop = new AbortController();
      const timer = setTimeout(() => void compute(args, stop), waitMs);
      present = { stop, timer };
      told({ kind: 'computing', activity: '', done: 0, total: 0 });
    },
  };
}
