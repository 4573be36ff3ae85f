import type { MethodConfig, RunConfig } from '../../config/schema.js';
import type { ConfigChange } from '../../config/setIn.js';
import { LARGEST_SEARCHED, largestFitting } from '../../memory/largest.js';
import type { Quantity } from '../../memory/largest.js';
import { goesThrough, needOf, verdictOf } from '../verdict.js';
import { changedConfig } from './changedConfig.js';
import { planOf } from './planRun.js';
import type { PlanRun } from './planRun.js';

/**
 * The largest batch, row length or rank (of the first method that has one) that can be counted on to go through, all else
 * as it is.
 *
 * @param limit bytes that are free
 * @param most where to stop; {@link LARGEST_SEARCHED} without it
 * @returns 0 where not even 1 does; undefined for the rank of a run that has none
 */
export async function largestThatFits(
  config: RunConfig,
  planRun: PlanRun,
  limit: number,
  quantity: Quantity,
  most: number = LARGEST_SEARCHED[quantity],
): Promise<number | undefined> {
  const path = pathOf(config, quantity);
  if (path === undefined) return undefined;
  const search = largestFitting(most);
  let asked = search.next();
  while (asked.done !== true) {
    const changed = changedConfig(config, [{ path, value: asked.value }]);
    // Less than the schema takes (a row has at least two tokens) is judged by what it takes.
    const judged = changed ?? changedConfig(config, [{ path, value: asked.value + 1 }]);
    asked = search.next(await isWithin(judged, planRun, limit));
  }
  return asked.value;
}

/** Whether a changed run can be counted on to go through; one that is refused cannot. */
export async function isWithin(config: RunConfig | undefined, planRun: PlanRun, limit: number): Promise<boolean> {
  const plan = config && (await planOf(config, planRun));
  return plan !== undefined && goesThrough(verdictOf(needOf(plan), limit));
}

/** Where the run file has a quantity; undefined for the rank of a run without one. */
function pathOf(config: RunConfig, quantity: Quantity): ConfigChange['path'] | undefined {
  if (quantity === 'batch') return ['training', 'per_device_train_batch_size'];
  if (quantity === 'length') return ['data', 'max_length'];
  const at = config.method.findIndex(({ type }) => rankOption(type) !== undefined);
  const option = rankOption(config.method[at]?.type);
  return option === undefined ? undefined : ['method', at, option];
}

/** The option that is the rank of what a method trains, where memory is searched by it. */
export function rankOption(type: MethodConfig['type'] | undefined): 'r' | 'init_r' | undefined {
  switch (type) {
    case 'lora':
    case 'relora':
    case 'cola':
      return 'r';
    case 'adalora':
      return 'init_r';
    default:
      return undefined;
  }
}
