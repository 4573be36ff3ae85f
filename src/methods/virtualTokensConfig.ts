import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { fail, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { AdapterTensors, InspectedTensors } from './peftFormat.js';

/**
 * PEFT has no default for the number of virtual tokens: an `adapter_config.json` that does not say it is broken.
 * @param refused what to say of a value that is none
 * @throws ProblemError `adapter.config`
 */
export function checkVirtualTokens(
  config: JsonObject,
  source: string,
  refused: { readonly message: (value: string) => string; readonly expected: string },
): void {
  const { num_virtual_tokens: count = 'missing' } = config;
  if (typeof count === 'number') return;
  fail({
    code: 'adapter.config',
    message: refused.message(JSON.stringify(count)),
    where: { file: source },
    expected: refused.expected,
  });
}

/** The one tensor of an adapter whose virtual tokens are all that trained: a row for each. */
export interface VirtualTokensTable {
  readonly key: string;
  /** Columns by the config; undefined where it does not say. */
  readonly columns: number | undefined;
  /** What they are, in the config's own words. */
  readonly columnsAre: string;
  /** The number of virtual tokens by the config, which throws what is wrong with it. */
  readonly count: () => number;
}

/** What such an adapter's tensors are, without the base model: no low-rank module, one tensor that trained whole. */
export function inspectVirtualTokens(
  adapter: AdapterTensors,
  { key, columns, columnsAre, count: counted }: VirtualTokensTable,
): InspectedTensors {
  const problems: Problem[] = [];
  let count: number | undefined;
  try {
    count = counted();
  } catch (error) {
    problems.push(problemOf(error));
  }
  const shape = adapter.tensors.get(key)?.shape;
  const fits =
    shape?.length === 2 &&
    (count === undefined || shape[0] === count) &&
    (columns === undefined || shape[1] === columns);
  if (!fits) {
    const expected = `[${count ?? 'num_virtual_tokens'}, ${columns ?? columnsAre}]`;
    problems.push({
      code: 'adapter.shape',
      severity: 'error',
      message: shape === undefined ? l10n.t`${key} is missing` : l10n.t`${key} is [${shape.join(', ')}]`,
      where: { file: adapter.weightsFile },
      expected: l10n.t`${expected} by the config`,
      mend: l10n.t`Config and weights belong to different adapters, or the file is incomplete: export the adapter again.`,
    });
  }
  const keys = [...adapter.tensors.keys()];
  return {
    r: undefined,
    alpha: undefined,
    modules: [],
    whole: keys.filter((each) => each === key),
    unknown: keys.filter((each) => each !== key),
    problems,
  };
}
