import * as l10n from '@vscode/l10n';
import { formatBytes } from '../../common/format.js';
import type { RunConfig } from '../../config/schema.js';
import type { ConfigChange } from '../../config/setIn.js';
import type { MemoryPlan } from '../../memory/plan.js';
import { goesThrough, needOf, verdictOf } from '../verdict.js';
import type { Verdict } from '../verdict.js';
import { changedConfig } from './changedConfig.js';
import type { Form, Idea } from './idea.js';
import { ideas } from './ideas.js';
import { planOf } from './planRun.js';
import type { PlanRun } from './planRun.js';

/** A change of the run file that saves memory. */
export interface Saving {
  /** For a button: `Batch 2 × 4`. */
  readonly name: string;
  /** What it saves and costs: `Batch 2 × 4 saves 1.2 GiB: the same step, a little slower`. */
  readonly title: string;
  readonly changes: readonly ConfigChange[];
  /** Bytes less at the peak. */
  readonly saved: number;
  /** The plan of the run as it would be. */
  readonly plan: MemoryPlan;
  /** Whether the run learns the same. */
  readonly keepsResult: boolean;
  /** How it would stand with the limit; undefined without one. */
  readonly verdict?: Verdict;
}

/** What is worth a line: a hundredth of the peak. */
const LEAST_SHARE = 0.01;
/**
 * Changes that would save memory, the most first; of equal savings those that leave the result as it is come first.
 * Every one is planned anew, so a saving that another part takes over counts for what is left of it. With a limit, of a
 * batch, a length or a rank the mildest form that goes through is offered; and where no change alone suffices, the first
 * few together that do.
 *
 * @param limit bytes that are free
 * @throws what planning throws, unless it is a ProblemError: a change that cannot be planned is left out
 */
export async function suggestChanges(
  config: RunConfig,
  planRun: PlanRun,
  limit?: number,
): Promise<readonly Saving[]> {
  const before = (await planRun(config)).plan;
  const plans = { before, planRun, limit };
  const found: Saving[] = [];
  for (const idea of ideas(config, before)) {
    const saving = await bestForm(config, idea, plans);
    if (saving !== undefined && saving.saved >= LEAST_SHARE * before.total) found.push(saving);
  }
  const near = LEAST_SHARE * before.total;
  const ranked = found.sort((one, other) => {
    const isEqual = Math.round(one.saved / near) === Math.round(other.saved / near);
    if (isEqual && one.keepsResult !== other.keepsResult) return one.keepsResult ? -1 : 1;
    return other.saved - one.saved;
  });
  if (limit === undefined || ranked.some(suffices) || goesThrough(verdictOf(needOf(before), limit))) return ranked;
  const together = await firstTogether(config, ranked, plans);
  return together === undefined ? ranked : [together, ...ranked];
}

/** Whether a run with this change can be counted on to go through. */
export function suffices({ verdict }: Saving): boolean {
  return verdict !== undefined && goesThrough(verdict);
}

interface Plans {
  readonly before: MemoryPlan;
  readonly planRun: PlanRun;
  readonly limit?: number;
}

/** Of an idea's forms the mildest that suffices, else the strongest; without a limit the mildest. */
async function bestForm(
  config: RunConfig,
  { forms, keepsResult }: Idea,
  plans: Plans,
): Promise<Saving | undefined> {
  let strongest: Saving | undefined;
  for (const form of forms) {
    const saving = await savingOf(config, form, keepsResult, plans);
    if (saving === undefined) continue;
    if (plans.limit === undefined || suffices(saving)) return saving;
    strongest = saving;
  }
  return strongest;
}

async function savingOf(
  config: RunConfig,
  { name, cost, changes }: Form,
  keepsResult: boolean,
  { before, planRun, limit }: Plans,
): Promise<Saving | undefined> {
  const changed = changedConfig(config, changes);
  const plan = changed && (await planOf(changed, planRun));
  if (plan === undefined) return undefined;
  const saved = before.total - plan.total;
  return {
    name,
    title: l10n.t`${name} saves ${formatBytes(Math.max(saved, 0))}: ${cost}`,
    changes,
    saved,
    plan,
    keepsResult,
    ...(limit === undefined ? {} : { verdict: verdictOf(needOf(plan), limit) }),
  };
}

/** The first few changes that suffice together; undefined where all of them do not. */
async function firstTogether(
  config: RunConfig,
  ranked: readonly Saving[],
  plans: Plans,
): Promise<Saving | undefined> {
  const order = ranked.toSorted((one, other) => Number(other.keepsResult) - Number(one.keepsResult));
  let best: Saving | undefined;
  let parts: readonly Saving[] = [];
  for (const saving of order) {
    const taken = new Set(parts.flatMap(({ changes }) => changes.map(({ path }) => path.join('.'))));
    if (saving.changes.some(({ path }) => taken.has(path.join('.')))) continue;
    const tried = [...parts, saving];
    const form = {
      name: tried.map(({ name }) => name).join(' + '),
      cost: l10n.t`each for what it costs alone`,
      changes: tried.flatMap(({ changes }) => changes),
    };
    const found = await savingOf(
      config,
      form,
      tried.every(({ keepsResult }) => keepsResult),
      plans,
    );
    if (found === undefined || found.saved <= (best?.saved ?? 0)) continue;
    [best, parts] = [found, tried];
    if (suffices(found)) return found;
  }
  return undefined;
}
