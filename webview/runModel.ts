import { createThinned } from '../src/common/thinned.js';
import type { AttentionShare } from '../src/methods/attentionShare.js';
import type { Thinned } from '../src/common/thinned.js';
import type { RunState } from '../src/engines/runState.js';
import { describeEvent } from '../src/training/describeEvent.js';
import type { LogLevel } from '../src/training/describeEvent.js';
import { soundEvent } from '../src/training/soundEvent.js';
import { createSiteHistory, takeReport } from './siteHistory.js';
import type { SiteHistory } from './siteHistory.js';
import type {
  CheckpointWritten,
  Coverage,
  DataLoaded,
  Evaluation,
  Generations,
  Memory,
  Planned,
  Paused,
  Progress,
  RankEvaluation,
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
  plan?: Planned;
  progress?: Progress;
  checkpoint?: CheckpointWritten;
  /** While the run is paused. */
  paused?: Paused;
  /** How long it was paused before, since it was started or resumed. */
  pausedSeconds: number;
  readonly log: RunLog;
  readonly data: DataLoaded[];
  readonly samples: Sample[];
  readonly steps: Step[];
  readonly evaluations: Evaluation[];
  readonly rankEvaluations: RankEvaluation[];
  readonly memory: Memory[];
  /** Answers to validation rows, in ascending steps; thinned out where there are many. */
  readonly generations: Thinned<Generations>;
  /** What the methods told of each site over time. */
  readonly ranks: SiteHistory;
  readonly masks: SiteHistory;
  /** What fusions take from each adapter: a site for each place, adapter and task. */
  readonly attention: SiteHistory;
}

/** What happened, line by line; steps and what they report have views of their own. */
export interface RunLog {
  readonly lines: { readonly level: LogLevel; readonly text: string }[];
  /** Lines that made room for newer ones: line n of the run is `lines[n - dropped]`. */
  dropped: number;
  /** Warnings and errors so far. */
  serious: number;
}

export function createRunModel(): RunModel {
  return {
    count: 0,
    pausedSeconds: 0,
    log: { lines: [], dropped: 0, serious: 0 },
    data: [],
    samples: [],
    steps: [],
    evaluations: [],
    rankEvaluations: [],
    memory: [],
    generations: createThinned(KEPT_ANSWERS),
    ranks: createSiteHistory(),
    masks: createSiteHistory(),
    attention: createSiteHistory(),
  };
}

/** Answers to validation rows that the page keeps, of all evaluations: at most 12 MB, usually a tenth of it. */
const KEPT_ANSWERS = 2000;

/** Lines that the page keeps; the output channel and `events.jsonl` have all. */
const KEPT_LINES = 2000;

/**
 * Takes an event in. A resumed run repeats steps: the last word on a step counts. On its way here as JSON a number that
 * is not finite became null, and a worker of another version may say less: what is not sound is only counted.
 */
export function takeEvent(model: RunModel, told: RunEvent): void {
  model.count += 1;
  const event = soundEvent(told);
  if (event === undefined) return;
  takeLines(model.log, event);
  switch (event.type) {
    case 'started':
      model.started = event;
      model.paused = undefined;
      model.pausedSeconds = 0;
      // A run that goes on tells of its data once more.
      model.data.length = 0;
      model.samples.length = 0;
      break;
    case 'coverage':
      model.coverage = event.anew ? { ...event, warnings: model.coverage?.warnings ?? [] } : event;
      break;
    case 'plan':
      model.plan = event;
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
    case 'rank-evaluation':
      forgetFrom(model.rankEvaluations, (kept) => kept.step >= event.step);
      model.rankEvaluations.push(event);
      break;
    case 'memory':
      forgetFrom(model.memory, (kept) => kept.step > event.step);
      model.memory.push(event);
      break;
    case 'generations':
      model.generations.dropLast((kept) => kept.step >= event.step);
      model.generations.add(event, event.step, event.rows.length);
      break;
    case 'checkpoint':
      model.checkpoint = event;
      model.progress = undefined;
      break;
    case 'progress':
      model.progress = event;
      break;
    case 'paused':
      model.paused = event;
      break;
    case 'continued':
      model.paused = undefined;
      model.pausedSeconds += event.seconds;
      break;
    case 'ranks':
      takeReport(model.ranks, event);
      break;
    case 'masks':
      takeReport(model.masks, event);
      break;
    case 'attention':
      takeReport(model.attention, {
        step: event.step,
        sites: event.sites.map((site) => ({ path: attentionPath(site), share: site.share })),
      });
      break;
    case 'log':
    case 'finished':
    case 'failed':
      // The state carries the end.
      break;
  }
}

/** The row of the map behind the layer: `mlp: news`, of rows of a task `mlp: news ← chat`. */
function attentionPath({ path, adapter, task }: AttentionShare): string {
  return task === '' ? `${path}: ${adapter}` : `${path}: ${adapter} ← ${task}`;
}

function takeLines(log: RunLog, event: RunEvent): void {
  switch (event.type) {
    case 'step':
    case 'memory':
    case 'ranks':
    case 'masks':
    case 'attention':
    case 'progress':
    case 'sample':
      return;
  }
  for (const line of describeEvent(event)) {
    log.lines.push(line);
    if (line.level === 'warning' || line.level === 'error') log.serious += 1;
  }
  if (log.lines.length <= 2 * KEPT_LINES) return;
  log.dropped += log.lines.length - KEPT_LINES;
  log.lines.splice(0, log.lines.length - KEPT_LINES);
}

/**
 * Seconds that the run has worked, pauses left out; NaN without a run.
 * @param now milliseconds since the epoch
 */
export function elapsedSeconds(model: RunModel, state: RunState, now: number): number {
  if (state.kind === 'idle') return NaN;
  if (state.kind === 'finished') return state.result.seconds;
  // A run that was killed in a pause ended when the pause began.
  const end = model.paused ? Date.parse(model.paused.time) : state.kind === 'failed' ? state.ended : now;
  return Math.max(0, (end - state.began) / 1000 - model.pausedSeconds);
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
