/** What a run was started with, in its folder. */
export const RESOLVED_CONFIG = 'run.peft.yaml';
/** The event stream, in the run's folder. */
export const RUN_EVENTS = 'events.jsonl';

/** So many runs can be told apart in one picture. */
export const MOST_COMPARED = 8;
