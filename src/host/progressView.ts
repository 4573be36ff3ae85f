import * as l10n from '@vscode/l10n';
import { formatLoss } from '../common/format.js';
import type { RunEvent } from '../training/events.js';

/** How far a run is, for the notification and the status bar. */
export interface ProgressView {
  /** Takes an event in; true when what is shown changed. */
  take(event: RunEvent): boolean;
  /** `step 12 of 50, loss 1.234` or `Reading weights 3 of 9`. */
  text(): string;
  /** Share of the optimizer steps taken, 0 to 1. */
  share(): number;
}

/** Makes the view of a run that begins. */
export function createProgressView(): ProgressView {
  let totalSteps = 0;
  let step = 0;
  let text = l10n.t`starting`;
  let ofStep = text;
  /** What is shown again when long work between two steps is done. */
  let resting = text;
  return {
    take(event) {
      switch (event.type) {
        case 'started':
          totalSteps = event.totalSteps;
          return false;
        case 'progress':
          text = event.total > 0 ? l10n.t`${event.activity} ${event.done} of ${event.total}` : event.activity;
          return true;
        case 'step':
          step = event.step;
          text = resting = ofStep = l10n.t`step ${step} of ${totalSteps}, loss ${formatLoss(event.loss)}`;
          return true;
        case 'paused':
          text = resting = l10n.t`paused after step ${event.step}`;
          return true;
        case 'continued':
          text = resting = ofStep;
          return true;
        case 'checkpoint':
          text = resting;
          return true;
        default:
          return false;
      }
    },
    text: () => text,
    share: () => (totalSteps > 0 ? Math.min(1, step / totalSteps) : 0),
  };
}
