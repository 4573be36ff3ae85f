import { holdsWeights } from './holdsWeights.js';
import { killedSince } from './oomKills.js';
import type { Ending } from './runState.js';

/**
 * How a worker's process went: what was seen of it, with what it left on disk and what the kernel says.
 * @param killsBefore how often the kernel had run out of memory when the process was started
 */
export async function endingOf(
  seen: Omit<Ending, 'adapterFound' | 'oomKilled'>,
  killsBefore: number | undefined,
): Promise<Ending> {
  const { last } = seen;
  const adapterFound = last?.type === 'finished' && (await holdsWeights(last.adapter));
  return { ...seen, adapterFound, oomKilled: await killedSince(killsBefore) };
}
