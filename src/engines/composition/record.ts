import type { Problem } from '../../common/problem.js';
import type { HubTrial } from './trial.js';

/** A search for a LoRAHub mixture: what was searched over and what came of it so far. `lorahub.json` holds one. */
export interface HubRecord {
  /** In the order of the weights, each with its weight in the best mixture. */
  readonly adapters: readonly HubMember[];
  /** The base model as commands take it. Absent in records of the first versions, as are the other optional ones. */
  readonly base?: string;
  /** The files of the examples. */
  readonly data: readonly string[];
  readonly rows?: number;
  /** Rows of the files that could not be used, where there are any. */
  readonly broken?: number;
  /** Supervised ones of the examples. */
  readonly tokens?: number;
  /** How many mixtures were to be tried. */
  readonly budget: number;
  readonly bound: number;
  readonly regularization: number;
  /** Losses of the examples to compare with; not among the trials. */
  readonly compared?: HubCompared;
  /** In order; the first has all weights 0, and is the base model. */
  readonly trials: readonly RecordedTrial[];
  /** That the trials took. */
  readonly seconds?: number;
  readonly heldOut?: HeldOutLosses;
}

export interface HubMember {
  readonly folder: string;
  readonly weight: number;
}

/** A trial as JSON has it: a loss that is not finite is null there. */
export type RecordedTrial = { readonly [Key in 'loss' | 'objective']: HubTrial[Key] | null } & Pick<
  HubTrial,
  'weights'
>;

/** Mean cross-entropy per supervised token, in nats. */
export interface HubCompared {
  /** All weights 1/n. */
  readonly average: number | null;
  /** Each adapter at weight 1, the others at 0. */
  readonly alone: readonly (number | null)[];
}

/** What was measured on rows that the search did not see. */
export interface HeldOutLosses {
  readonly data: readonly string[];
  readonly rows: number;
  readonly base: HeldOutLoss;
  readonly average: HeldOutLoss;
  /** Of the adapter that is best on the examples alone. */
  readonly alone: HeldOutLoss & { readonly adapter: number };
  readonly mixture: HeldOutLoss;
}

export interface HeldOutLoss {
  readonly loss: number | null;
  /** Share of supervised tokens that are predicted right. */
  readonly tokenAccuracy: number;
}

/** What `compose --json` tells, a line for each. */
export type HubEvent =
  /** Without trials. */
  | { readonly type: 'began'; readonly search: HubRecord }
  | ({ readonly type: 'compared' } & HubCompared)
  | ({
      readonly type: 'trial';
      /** From 1 up. */
      readonly trial: number;
      /** What regularization adds to the loss. */
      readonly penalty: number;
      /** The least objective up to this trial. */
      readonly best: number | null;
      /** Since the first trial began. */
      readonly seconds: number;
    } & RecordedTrial)
  /** The last line: all of it again, and where it was written. */
  | {
      readonly type: 'finished';
      readonly search: HubRecord;
      readonly out: string | null;
      readonly warnings: readonly Problem[];
    };

/** The search after an event; undefined before it began. */
export function recordAfter(record: HubRecord | undefined, event: HubEvent): HubRecord | undefined {
  switch (event.type) {
    case 'began':
    case 'finished':
      return event.search;
    case 'compared':
      return record && { ...record, compared: { average: event.average, alone: event.alone } };
    case 'trial': {
      if (record === undefined) return undefined;
      const { weights, loss, objective, seconds } = event;
      return withBest({ ...record, seconds, trials: [...record.trials, { weights, loss, objective }] });
    }
  }
}

/** The place of the best trial: of the least objective, the first of several; undefined where none is finite. */
export function bestTrial(trials: HubRecord['trials']): number | undefined {
  let best: number | undefined;
  for (const [at, { objective }] of trials.entries()) {
    if (objective === null || !Number.isFinite(objective)) continue;
    if (best === undefined || objective < trials[best]!.objective!) best = at;
  }
  return best;
}

/** The place of the trial that found the weights; undefined where none did: they were set by hand. */
export function foundTrial({ trials, adapters }: Pick<HubRecord, 'trials' | 'adapters'>): number | undefined {
  const best = bestTrial(trials);
  const weights = best === undefined ? undefined : trials[best]?.weights;
  return adapters.every(({ weight }, at) => weight === weights?.[at]) ? best : undefined;
}

/** With the weights of the best trial beside the adapters. */
function withBest(record: HubRecord): HubRecord {
  const best = bestTrial(record.trials);
  const weights = best === undefined ? undefined : record.trials[best]?.weights;
  return {
    ...record,
    adapters: record.adapters.map(({ folder }, at) => ({ folder, weight: weights?.[at] ?? 0 })),
  };
}

/** The place of the adapter whose loss alone is least; undefined where that was not measured or is not finite. */
export function bestAlone({ compared }: Pick<HubRecord, 'compared'>): number | undefined {
  return bestTrial((compared?.alone ?? []).map((loss) => ({ weights: [], loss, objective: loss })));
}
