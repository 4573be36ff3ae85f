import type { Json } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { isRecord } from '../engines/composition/readRecord.js';
import type { ShownMixture, WantedMixture } from './composeProtocol.js';

/** The command that searches. */
export function composeArguments({ adapters, data, budget, model, heldOut }: WantedMixture): readonly string[] {
  return [
    'compose',
    ...adapters,
    `--data=${data}`,
    `--budget=${budget}`,
    ...(model === undefined ? [] : [`--model=${model}`]),
    ...(heldOut === undefined ? [] : [`--evaluate=${heldOut}`]),
  ];
}

/** Whether a command was called with a search, and need not ask for one. */
export function isWanted(value: unknown): value is WantedMixture {
  if (!isJsonObject(value)) return false;
  const { adapters, data, budget, model, heldOut } = value;
  return (
    Array.isArray(adapters) &&
    adapters.every((each) => typeof each === 'string') &&
    typeof data === 'string' &&
    typeof budget === 'number' &&
    [model, heldOut].every((each) => each === undefined || typeof each === 'string')
  );
}

/** What the page kept over a reload of the window: a search that ran then has stopped. */
export function restoredMixture(kept: unknown): ShownMixture {
  if (!isJsonObject(kept)) return { state: { kind: 'ended' } };
  const { wanted, search, state, out } = kept;
  return {
    ...(isWanted(wanted) ? { wanted } : {}),
    ...(isRecord(search) ? { search } : {}),
    ...(typeof out === 'string' ? { out } : {}),
    state: restoredState(state),
  };
}

function restoredState(state: Json | undefined): ShownMixture['state'] {
  if (!isJsonObject(state)) return { kind: 'stopped' };
  const { kind, message } = state;
  if (kind === 'failed' && typeof message === 'string') return { kind, message };
  return { kind: kind === 'ended' ? kind : 'stopped' };
}
