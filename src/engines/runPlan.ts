import * as l10n from '@vscode/l10n';
import { limitProblem, machineMemory } from '../common/machineMemory.js';
import { messageOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { MethodConfig, RunConfig } from '../config/schema.js';
import { DEFAULT_MAX_LENGTH } from '../data/options.js';
import type { MemoryPlan } from '../memory/plan.js';
import type { Attached } from '../methods/method.js';
import { preparesFor } from '../methods/registry.js';
import type { LargestBatch, Planned } from '../training/events.js';
import { frozenChoice } from '../training/frozenOutputs.js';
import type { FrozenJob } from '../training/frozenOutputs.js';
import { OUT_OF_MEMORY } from '../training/outOfMemory.js';
import { plannedSteps } from '../training/steps.js';
import { estimateRun } from './estimate.js';
import type { ModelHeader } from './estimatedMethods.js';
import { memoryWarning } from './memoryWarning.js';
import { suggestChanges } from './savings/suggestChanges.js';
import type { Saving } from './savings/suggestChanges.js';
import { attachMethods, guides, parameterCount } from './session.js';
import type { OpenedModel } from './session.js';
import { needOf, verdictOf } from './verdict.js';

/** The memory that a run is predicted to need, with the batches that its own data make. */
export interface RunPlan {
  /** Absent where it could not be predicted. */
  readonly event?: Planned;
  /** That it is more than is free, with what could be changed; or why there is no prediction. */
  readonly warnings: readonly Problem[];
}

/** A run that is about to begin. */
export interface RunToPlan {
  readonly config: RunConfig;
  readonly opened: OpenedModel;
  /** In the order of the run file; undefined for one that has yet to see the data. */
  readonly methods: readonly (Attached | undefined)[];
  readonly batch: LargestBatch;
  /** The largest batch of an evaluation; undefined where nothing is held out. */
  readonly heldOut: LargestBatch | undefined;
  /** The larger base that it steers. */
  readonly steered: ModelHeader | undefined;
  /** Its rows, with virtual tokens before them, and how they become batches. */
  readonly rows: Omit<FrozenJob, 'methods' | 'options'>;
}

/** Plans a run. A plan is no part of the training: where it fails, that is said and the run goes on without one. */
export async function planOfRun(run: RunToPlan): Promise<RunPlan> {
  try {
    const plan = planWith(run);
    const machine = await machineMemory();
    const fits = verdictOf(needOf(plan), machine.free) === 'fits';
    const warning = fits ? undefined : memoryWarning(plan, machine, await savingsOf(run, machine.free));
    return {
      event: { type: 'plan', plan, batch: run.batch },
      warnings: [limitProblem(), warning].filter((each) => each !== undefined),
    };
  } catch (error) {
    const message = l10n.t`the memory of the run could not be predicted: ${messageOf(error)}`;
    return { warnings: [{ code: 'memory.not-predicted', severity: 'warning', message }] };
  }
}

/** Changes that are named when memory ran out. */
const NAMED_CHANGES = 3;

/** A problem that is that memory ran out, with what would make the run smaller; others as they are. */
export async function withSavings(problem: Problem, run: RunToPlan | undefined): Promise<Problem> {
  if (problem.code !== OUT_OF_MEMORY || run === undefined) return problem;
  // Memory is short still, and what could be saved no reason to lose what went wrong.
  const savings = (await savingsOf(run).catch(() => [])).slice(0, NAMED_CHANGES);
  if (savings.length === 0) return problem;
  const named = savings.map(({ title }) => title).reduce((told, more) => l10n.t`${told}. ${more}`);
  return {
    ...problem,
    mend: l10n.t`${problem.mend ?? ''} What would make a new run smaller: ${named}.`.trim(),
    changes: savings.map(({ title, changes }) => ({ title, set: changes })),
  };
}

/**
 * What would make a run smaller, the most first.
 * @param limit bytes that are free; without it, the mildest form of each change
 */
function savingsOf(run: RunToPlan, limit?: number): Promise<readonly Saving[]> {
  return suggestChanges(run.config, (config) => ({ plan: planWith(changedRun(run, config)) }), limit);
}

/** What plans know of an opened model. */
export function headerOf({ checkpoint, model }: OpenedModel): ModelHeader {
  return { checkpoint, model, parameters: parameterCount(model) };
}

function planWith({ config, opened, methods, batch, heldOut, steered, rows }: RunToPlan): MemoryPlan {
  const estimated = config.method.map((each, at) => ({ config: each, attached: methods[at] }));
  const attached = methods.filter((each) => each !== undefined);
  const isKnown = attached.length === methods.length;
  const frozen = isKnown ? frozenChoice({ ...rows, methods: attached, options: config.training }) : undefined;
  const steps = plannedSteps({ ...rows, options: config.training });
  const known = {
    batch,
    steps,
    ...(heldOut && { heldOut }),
    ...(steered && { steered }),
    ...(frozen && { frozen }),
  };
  return estimateRun(headerOf(opened), estimated, config, known).plan;
}

/** The run with another config: what it is attached to, and its batches, go along. */
function changedRun(run: RunToPlan, config: RunConfig): RunToPlan {
  const cutOf = ({ data }: RunConfig): number => data.max_length ?? DEFAULT_MAX_LENGTH;
  const isCut = cutOf(config) < cutOf(run.config);
  const changed = (
    batch: LargestBatch,
    size: 'per_device_train_batch_size' | 'per_device_eval_batch_size',
  ): LargestBatch => {
    const after = config.training[size];
    const rows = after === run.config.training[size] ? batch.rows : Math.min(batch.rows, after);
    const cut = (tokens: number): number => (isCut ? Math.min(tokens, cutOf(config)) : tokens);
    const length = cut(batch.length);
    const share = (rows * length) / (batch.rows * batch.length);
    return {
      rows,
      length,
      supervised: Math.ceil(batch.supervised * share),
      ...(batch.source === undefined ? {} : { source: cut(batch.source) }),
    };
  };
  const isSameMethod = JSON.stringify(config.method) === JSON.stringify(run.config.method);
  return {
    ...run,
    config,
    batch: changed(run.batch, 'per_device_train_batch_size'),
    heldOut: run.heldOut && changed(run.heldOut, 'per_device_eval_batch_size'),
    methods: isSameMethod ? run.methods : attachedToHeader(config.method, run.opened),
  };
}

/** Those that first have to find something out are left to stand-ins, and so is what guides one of them. */
function attachedToHeader(
  configs: readonly MethodConfig[],
  { context }: OpenedModel,
): readonly (Attached | undefined)[] {
  const waits = configs.map(
    (config, at) => preparesFor(config) || (guides(config) && configs.slice(0, at).some(preparesFor)),
  );
  const attached = attachMethods(
    configs.filter((_, at) => !waits[at]),
    context,
  );
  return waits.map((each) => (each ? undefined : attached.shift()));
}
