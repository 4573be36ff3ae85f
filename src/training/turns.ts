import * as l10n from '@vscode/l10n';
import { formatCount } from '../common/format.js';
import type { Problem } from '../common/problem.js';
import { problemOf } from '../common/problem.js';
import type { Attached, Prepared, StepPlace, Turn } from '../methods/method.js';
import { fixedSize } from '../tensor/dims.js';
import type { Checkpoint } from './checkpoint.js';
import { gradientPasses } from './gradientPasses.js';
import type { TrainingJob } from './job.js';
import type { Snapshot } from './snapshot.js';

/** The methods of a run as they were attached last, and what those that were attached anew were attached with. */
export interface AttachedNow {
  readonly methods: readonly Attached[];
  /** By their places; nothing for those that are as they were at the run's start. */
  readonly prepared: readonly (Prepared | undefined)[];
}

/** A job's methods where it begins or goes on. */
export function attachedAt(job: TrainingJob, from: Checkpoint | undefined): AttachedNow {
  const prepared = from?.prepared ?? [];
  return { methods: hasTurned({ prepared }) ? attachedWith(job, prepared) : job.methods, prepared };
}

/** Whether any method is no longer attached as it was at the run's start. */
export function hasTurned({ prepared }: Pick<AttachedNow, 'prepared'>): boolean {
  return prepared.some((found) => found !== undefined);
}

/** Whether methods are attached anew after a step. */
export function turnsAfter({ methods }: AttachedNow, at: StepPlace): boolean {
  return methods.some((method) => method.turnsAfter?.(at) === true);
}

/**
 * Asks the methods that are attached anew after a step what with, all of them with the numbers and methods as they are,
 * and attaches all methods of the run again, in their order.
 *
 * @param job with rows as they are without virtual tokens
 * @returns undefined when a stop broke passes over the data off; then nothing has changed
 */
export async function attachAnew(
  job: TrainingJob,
  now: AttachedNow,
  at: StepPlace,
  snapshot: Snapshot,
): Promise<{ readonly now: AttachedNow; readonly start: Snapshot } | undefined> {
  const values = new Map([...snapshot.values, ...snapshot.state]);
  const passes = gradientPasses({ ...job, methods: now.methods, values, stopped: stopped() });
  const prepared = [...now.prepared];
  const said = new Map<number, string>();
  let start = snapshot;
  try {
    for (const [index, method] of now.methods.entries()) {
      if (method.turnsAfter?.(at) !== true) continue;
      const turn = await method.turn!({ ...passes, at, values, slots: snapshot.slots });
      prepared[index] = turn.prepared;
      if (turn.says !== undefined) said.set(index, turn.says);
      start = goneOver(start, turn, method);
    }
  } catch (error) {
    if (problemOf(error).code === STOPPED) return undefined;
    throw error;
  }
  const methods = attachedWith(job, prepared);
  tellCoverage(job, now.methods, methods);
  for (const [index, method] of methods.entries()) {
    if (prepared[index] !== now.prepared[index]) job.emit(turnedEvent(method, at, said.get(index)));
  }
  return { now: { methods, prepared }, start };
}

/** Says what methods that were attached anew took hold of, where that is not what they had before. */
export function tellCoverage(
  { emit, attaching }: Pick<TrainingJob, 'emit' | 'attaching'>,
  before: readonly Attached[],
  methods: readonly Attached[],
): void {
  const told = attaching!.covered(methods);
  if (JSON.stringify(told) !== JSON.stringify(attaching!.covered(before))) emit(told);
}

/** What goes over into a turn: everything of the other methods, unless it starts over, and what the method says of its own. */
function goneOver(before: Snapshot, turn: Turn, method: Attached): Snapshot {
  // The head of the task goes on beside the method.
  const { trainables, state = [] } = method.alone ?? method;
  const own = [...trainables, ...state].map(({ variable: { name } }) => name);
  const stays = (name: string): boolean => turn.startsOver !== true && !own.includes(name);
  const kept = <Numbers>(all: ReadonlyMap<string, Numbers>, nameOf = (key: string): string => key) =>
    [...all].filter(([key]) => stays(nameOf(key)));
  return {
    values: new Map([...kept(before.values), ...turn.values]),
    slots: new Map([...kept(before.slots, trainableOf), ...(turn.slots ?? [])]),
    state: new Map([...kept(before.state), ...turn.values]),
  };
}

/** `TRAINABLE/SLOT`: names of slots have no slash. */
function trainableOf(slot: string): string {
  return slot.slice(0, slot.lastIndexOf('/'));
}

function attachedWith(job: TrainingJob, turned: AttachedNow['prepared']): readonly Attached[] {
  const { attaching } = job;
  if (attaching === undefined) throw new Error('the job does not say how its methods are attached anew');
  return attaching.attach(job.methods.map((_method, index) => turned[index] ?? attaching.prepared[index]));
}

const STOPPED = 'training.turn-stopped';

const stopped = (): Problem => ({
  code: STOPPED,
  message: l10n.t`the run was stopped while a method was to be attached anew`,
});

function turnedEvent(
  { type, trainables }: Attached,
  { step }: StepPlace,
  said: string | undefined,
): Parameters<TrainingJob['emit']>[0] {
  const numbers = trainables.reduce((sum, { variable: { shape } }) => sum + fixedSize(shape), 0);
  return {
    type: 'log',
    level: 'info',
    message:
      said ?? l10n.t`After step ${step}, ${type} goes on with other numbers: ${formatCount(numbers)} train.`,
  };
}
