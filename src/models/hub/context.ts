import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { hubSettings } from './settings.js';
import type { HubSettings } from './settings.js';

/** How far a download is, in MiB; `activity` says what is loaded. */
export interface HubProgress {
  readonly activity: string;
  readonly done: number;
  readonly total: number;
}

/** What whoever wants something of the hub may say about it. */
export interface HubOptions {
  /** Where relative paths start. Default: the current folder. */
  readonly folder?: string;
  readonly progress?: (progress: HubProgress) => void;
  /** Asked all the time while the network is used; true ends the download with `hub.stopped`. May throw instead. */
  readonly stopRequested?: () => boolean;
  /** Told what did not go as it should and yet was got over: a copy in the cache was used. */
  readonly warn?: (problem: Problem) => void;
  /** Default: those of the environment. */
  readonly settings?: HubSettings;
  /** Milliseconds before each new try. Default: {@link RETRY_DELAYS}. */
  readonly retryDelays?: readonly number[];
  /** Milliseconds without a byte after which a connection counts as dead. Default: {@link STALL_MS}. */
  readonly stallMilliseconds?: number;
}

export type RepoKind = 'model' | 'dataset';

/** One repository that is read, and how. */
export interface HubContext {
  readonly kind: RepoKind;
  /** `org/name`. */
  readonly repo: string;
  readonly settings: HubSettings;
  /** Aborted when the user wants to stop. */
  readonly signal: AbortSignal;
  readonly retryDelays: readonly number[];
  readonly stallMilliseconds: number;
  readonly progress: (progress: HubProgress) => void;
}

const RETRY_DELAYS: readonly number[] = [500, 1000, 2000, 4000, 8000];
const STALL_MS = 30_000;
/** How often it is asked whether to stop: at once, for a human. */
const ASK_MS = 100;

/**
 * Runs `work` on one repository; it is cut off, wherever it waits, when a stop is requested.
 * Error: `hub.stopped`, or what `stopRequested` throws.
 */
export async function withHub<Value>(
  kind: RepoKind,
  repo: string,
  options: HubOptions,
  work: (context: HubContext) => Promise<Value>,
): Promise<Value> {
  const controller = new AbortController();
  const ask = (): void => {
    try {
      if (options.stopRequested?.() === true) stopped();
    } catch (error) {
      controller.abort(error);
    }
  };
  ask();
  const timer = setInterval(ask, ASK_MS);
  try {
    controller.signal.throwIfAborted();
    return await work({
      kind,
      repo,
      settings: options.settings ?? hubSettings(),
      signal: controller.signal,
      retryDelays: options.retryDelays ?? RETRY_DELAYS,
      stallMilliseconds: options.stallMilliseconds ?? STALL_MS,
      progress: options.progress ?? (() => undefined),
    });
  } catch (error) {
    // Whatever an aborted request threw, the reason is the stop.
    controller.signal.throwIfAborted();
    throw error;
  } finally {
    clearInterval(timer);
  }
}

function stopped(): never {
  fail({
    code: 'hub.stopped',
    message: l10n.t`the download was stopped`,
    mend: l10n.t`Start it again when you like: what has arrived is kept, and it goes on from there.`,
  });
}

/** `the model org/name`, for messages. */
export function named({ kind, repo }: Pick<HubContext, 'kind' | 'repo'>): string {
  return kind === 'model' ? l10n.t`the model ${repo}` : l10n.t`the data set ${repo}`;
}

/** The repository's page in the hub. */
export function pageOf({ kind, repo, settings }: HubContext): string {
  return `${settings.endpoint}/${kind === 'model' ? '' : 'datasets/'}${repo}`;
}
