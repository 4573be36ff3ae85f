import type { RunState } from '../engines/runState.js';

/** A run's state in a few words: `finished`, `training`, … */
export function describeState(state: RunState): string {
  switch (state.kind) {
    case 'idle':
      return 'no run';
    case 'starting':
      return 'starting';
    case 'running':
      return 'training';
    case 'stopping':
      return 'stopping';
    case 'finished':
      return state.result.reason === 'completed' ? 'finished' : 'stopped';
    case 'failed':
      return 'failed';
  }
}
