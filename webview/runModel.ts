import type {
  CheckpointWritten,
  Coverage,
  DataLoaded,
  Evaluation,
  Memory,
  Progress,
  RunEvent,
  Sample,
  Started,
  Step,
} from '../src/training/events.js';

/** What the page knows of a run: its events, sorted by what they are drawn as. */
export interface RunModel {
  /** How many events were taken in. */
  count: number;
  started?: Started;
  coverage?: Coverage;
  progress?: Progress;
  checkpoint?: CheckpointWritten;
  readonly data: DataLoaded[];
  readonly samples: Sample[];
  readonly steps: Step[];
  readonly evaluations: Evaluation[];
  readonly memory: Memory[];
}

export function createRunModel(): RunModel {
  return { count: 0, data: [], samples: [], steps: [], evaluations: [], memory: [] };
}

/** Takes an event in. A resumed run repeats steps: the last word on a step counts. */
export function takeEvent(model: RunModel, event: RunEvent): void {
  model.count += 1;
  switch (event.type) {
    case 'started':
      model.started = event;
      break;
    case 'coverage':
      model.coverage = event;
      break;
    case 'data':
      model.data.push(event);
      break;
    case 'sample':
      model.samples.push(event);
      break;
    case 'step':
      forgetFrom(model.steps, (step) => step.step >= event.step);
      model.progress = undefined;
      model.steps.push(event);
      break;
    case 'evaluation':
      forgetFrom(
        model.evaluations,
        (kept) => kept.step > event.step || (kept.step === event.step && kept.split === event.split),
      );
      model.evaluations.push(event);
      break;
    case 'memory':
      forgetFrom(model.memory, (kept) => kept.step > event.step);
      model.memory.push(event);
      break;
    case 'checkpoint':
      model.checkpoint = event;
      break;
    case 'progress':
      model.progress = event;
      break;
    case 'ranks':
    case 'masks':
    case 'log':
    case 'finished':
    case 'failed':
      // The state carries the end, the output channel the log; ranks and masks have no view yet.
      break;
  }
}

function forgetFrom<Item>(items: Item[], isOver: (item: Item) => boolean): void {
  for (let item = items.at(-1); item !== undefined && isOver(item); item = items.at(-1)) items.pop();
}

/** Steps that the estimate of the remaining time looks back. */
const RECENT_STEPS = 20;

/** Seconds the remaining steps will take at the pace of the last ones; `undefined` before the first step. */
export function remainingSeconds(model: RunModel): number | undefined {
  const recent = model.steps.slice(-RECENT_STEPS);
  const last = recent.at(-1);
  if (!last || !model.started) return undefined;
  const pace = recent.reduce((sum, { seconds }) => sum + seconds, 0) / recent.length;
  return Math.max(0, model.started.totalSteps - last.step) * pace;
}

/** Tokens per second over the last steps; `undefined` when no time was measured. */
export function tokensPerSecond(model: RunModel): number | undefined {
  const recent = model.steps.slice(-RECENT_STEPS);
  const seconds = recent.reduce((sum, step) => sum + step.seconds, 0);
  return seconds > 0 ? recent.reduce((sum, step) => sum + step.tokens, 0) / seconds : undefined;
}
