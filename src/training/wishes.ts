import type { TrainingJob } from './job.js';

/** What is asked of a run beside its end; it looks between two steps. */
export interface Wishes {
  /** Whether it is to wait. */
  readonly pause: () => boolean;
  /** True once for each time that a checkpoint was asked for. */
  readonly checkpoint: () => boolean;
  /** Settles when something is asked next, an end among it. */
  readonly next: () => Promise<void>;
}

/** Where wishes arrive. */
export interface WishesTaken extends Wishes {
  readonly stop: () => boolean;
  take(wish: 'stop' | 'pause' | 'continue' | 'checkpoint'): void;
}

/** Makes the place of a process's run where wishes arrive: none yet. A stop cannot be taken back. */
export function createWishes(): WishesTaken {
  let stop = false;
  let pause = false;
  let checkpoint = false;
  let waiting: (() => void)[] = [];
  return {
    stop: () => stop,
    pause: () => pause,
    checkpoint() {
      const asked = checkpoint;
      checkpoint = false;
      return asked;
    },
    next: () => new Promise((resolve) => waiting.push(resolve)),
    take(wish) {
      if (wish === 'stop') stop = true;
      if (wish === 'checkpoint') checkpoint = true;
      if (wish === 'pause' || wish === 'continue') pause = wish === 'pause';
      const woken = waiting;
      waiting = [];
      woken.forEach((wake) => wake());
    },
  };
}

/**
 * Waits while a run is paused; nothing is computed meanwhile, so the numbers after it are those of a run that never
 * waited. A stop ends the pause.
 * @param step the last one that was taken
 * @param checkpoint writes one that is asked for meanwhile
 */
export async function rest(
  { wishes, emit, stopRequested }: Pick<TrainingJob, 'wishes' | 'emit' | 'stopRequested'>,
  step: number,
  checkpoint: () => Promise<void>,
): Promise<void> {
  if (wishes === undefined || !wishes.pause() || stopRequested()) return;
  const since = performance.now();
  emit({ type: 'paused', step, time: new Date().toISOString() });
  while (wishes.pause() && !stopRequested()) {
    // Asked for first, so that nothing that comes while a checkpoint is written is missed.
    const next = wishes.next();
    if (wishes.checkpoint()) await checkpoint();
    if (wishes.pause() && !stopRequested()) await next;
  }
  emit({ type: 'continued', step, seconds: (performance.now() - since) / 1000 });
}
