import * as l10n from '@vscode/l10n';
import { formatBytes } from '../common/format.js';
import type { MachineMemory } from '../common/machineMemory.js';
import type { Problem } from '../common/problem.js';
import type { MemoryPlan } from '../memory/plan.js';
import { suffices } from './savings/suggestChanges.js';
import type { Saving } from './savings/suggestChanges.js';
import { needOf, verdictOf } from './verdict.js';
import type { Need } from './verdict.js';

/** Codes of the warnings about memory. */
export const TOO_LARGE = 'memory.too-large';
export const SLOW = 'memory.slow';

/**
 * What there is to say of a run's memory before it starts; undefined where all of it fits. The warning has no place: who
 * knows the run file puts it there.
 *
 * @param savings what could be changed, the best first (see `suggestChanges`); each becomes a change of the run file
 */
export function memoryWarning(
  plan: Pick<MemoryPlan, 'total' | 'moments' | 'parts'>,
  machine: MachineMemory,
  savings: readonly Saving[] = [],
): Problem | undefined {
  const need = needOf(plan);
  const verdict = verdictOf(need, machine.free);
  if (verdict === 'fits') return undefined;
  const offered = bestFirst(savings);
  const [best] = offered;
  return {
    code: verdict === 'slow' ? SLOW : TOO_LARGE,
    severity: 'warning',
    message: messageOf(verdict, need, machine),
    ...(best === undefined
      ? {}
      : { mend: suffices(best) ? l10n.t`${best.title}; then it fits.` : l10n.t`${best.title}.` }),
    ...(offered.length === 0
      ? {}
      : {
          changes: offered.map((saving) => ({
            title: suffices(saving) ? l10n.t`${saving.title} (then it fits)` : saving.title,
            set: saving.changes,
          })),
        }),
  };
}

/** Those that suffice first, among them those that leave the result as it is; else as they come. */
export function bestFirst(savings: readonly Saving[]): readonly Saving[] {
  const rank = (saving: Saving): number => (suffices(saving) ? (saving.keepsResult ? 0 : 1) : 2);
  return savings.toSorted((one, other) => rank(one) - rank(other));
}

function messageOf(
  verdict: 'slow' | 'barely' | 'too-large',
  { total, anonymous }: Need,
  machine: MachineMemory,
): string {
  const own = formatBytes(anonymous);
  const all = formatBytes(total);
  const free = freeWords(machine);
  switch (verdict) {
    case 'too-large':
      return l10n.t`the run does not fit in memory: at its peak it needs ${own} that the system cannot take back, and ${free}`;
    case 'barely':
      return l10n.t`the run barely fits in memory: at its peak it needs about ${own} that the system cannot take back, and ${free}`;
    case 'slow':
      return l10n.t`the run fits in memory, but not together with its weights: at its peak it needs ${all}, ${own} of them for good, and ${free}; weights are read again from the disk at each step, which is slow`;
  }
}

/** `9.2 GiB are free`. */
export function freeWords({ free, bound }: MachineMemory): string {
  switch (bound) {
    case 'machine':
      return l10n.t`${formatBytes(free)} are free`;
    case 'container':
      return l10n.t`${formatBytes(free)} are free in this container`;
    case 'limit':
      return l10n.t`${formatBytes(free)} is the limit that is set`;
  }
}
