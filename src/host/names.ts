import type { RunState } from '../engines/runState.js';

/** `quickstart.peft.yaml` → `quickstart`: how a run is called in messages. */
export function runName(file: string): string {
  return (file.split(/[\\/]/).at(-1) ?? file).replace(/\.peft\.(ya?ml|json)$/i, '');
}

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
