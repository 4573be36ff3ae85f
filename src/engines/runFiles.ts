/** What a run was started with, in its folder. */
export const RESOLVED_CONFIG = 'run.peft.yaml';
/** The event stream, in the run's folder. */
export const RUN_EVENTS = 'events.jsonl';

/** What a method's result is called within the run's folder: that of the first which has one, and those of others. */
export function resultName(kind: 'adapter' | 'model', type: string, isFirst: boolean): string {
  return isFirst ? kind : `${kind}-${type}`;
}

/** So many runs can be told apart in one picture. */
export const MOST_COMPARED = 8;
