import * as l10n from '@vscode/l10n';
import { headKeys } from '../../adapters/adapterTask.js';
import type { AdapterOnDisk } from '../../adapters/readAdapter.js';
import { fail } from '../../common/problem.js';
import { elementCount } from '../../models/tensorSpans.js';
import { firstOutOfOrder } from '../../methods/placeOrder.js';
import type { BaseTensors } from './baseTensors.js';
import type { MaskTensor } from './maskTensor.js';
import type { Places } from './places.js';

const DIFFERENCE = /\.difference$/;

/** What the names of an adapter's tensors end with, and what such a tensor says of a parameter of the base. */
const FORMS = [
  { ending: /\.indices$/, dtype: 'I32', holds: 'list' },
  { ending: /\.mask$/, dtype: 'I32', holds: 'bits' },
  { ending: DIFFERENCE, dtype: undefined, holds: 'all' },
  // Last layers: new numbers, under the parameter's own name.
  { ending: /$/, dtype: undefined, holds: 'all' },
] as const;

/**
 * The numbers of its base model that an adapter changes, where it says which: differences at places, whole tensors; of a
 * learned mask the weights that are on. The head of a task is no part of the base.
 *
 * @throws ProblemError `masks.none` for an adapter that has no mask; when they are read `masks.places` for places that the
 *   base's tensor does not have, and for a tensor of another size
 */
export function adapterMask(adapter: AdapterOnDisk, base: BaseTensors): readonly MaskTensor[] {
  const head = new Set(headKeys(adapter));
  const found = new Map<string, MaskTensor>();
  for (const [key, { dtype, shape }] of adapter.tensors) {
    if (head.has(key)) continue;
    const form = FORMS.find(
      (each) => each.ending.test(key) && (each.dtype === undefined || each.dtype === dtype),
    )!;
    const tensor = base.byName.get(key.replace(form.ending, ''));
    if (tensor === undefined) {
      // What PEFT copies of the base has a prefix, and may be of a head.
      if (form.holds === 'all' && !DIFFERENCE.test(key)) continue;
      return noSuchTensor(adapter, key);
    }
    if (form.holds === 'all' && elementCount(shape) !== tensor.size) wrongSize(adapter, key, shape, tensor.size);
    found.set(tensor.name, { ...tensor, places: () => readPlaces(adapter, key, form.holds, tensor.size) });
  }
  return found.size > 0 ? [...found.values()] : noMask(adapter);
}

async function readPlaces(
  adapter: AdapterOnDisk,
  key: string,
  holds: 'list' | 'bits' | 'all',
  size: number,
): Promise<Places> {
  if (holds === 'all') return { kind: 'all' };
  const read = await adapter.readIndices(key);
  if (holds === 'bits') {
    if (read.length === Math.ceil(size / 32)) return { kind: 'bits', words: read };
    return wrongPlaces(adapter, l10n.t`${key} holds ${read.length} words of 32 bits`, size);
  }
  const wrong = firstOutOfOrder(read, size);
  if (wrong < 0) return { kind: 'list', indices: read };
  return wrongPlaces(adapter, l10n.t`${key} holds ${String(read[wrong])} at position ${wrong}`, size);
}

function noMask({ peftType, weightsFile }: AdapterOnDisk): never {
  return fail({
    code: 'masks.none',
    message: l10n.t`an adapter of ${peftType} has no mask: it does not choose numbers of the base model`,
    where: { file: weightsFile },
    expected: l10n.t`an adapter of a selective method, such as fish_mask, lt_sft, bitfit or learned_mask; or the folder of a run that trained with one`,
    mend: l10n.t`Name such an adapter; peft-studio inspect says what one holds.`,
  });
}

function noSuchTensor({ weightsFile, baseModel }: AdapterOnDisk, key: string): never {
  return fail({
    code: 'masks.other-base',
    message:
      baseModel === undefined
        ? l10n.t`${key} names no tensor of the base model`
        : l10n.t`${key} names no tensor of the base model; the adapter was trained on ${baseModel}`,
    where: { file: weightsFile },
    mend: l10n.t`Name the base model that it was trained on with --model.`,
  });
}

function wrongSize({ weightsFile }: AdapterOnDisk, key: string, shape: readonly number[], size: number): never {
  return fail({
    code: 'masks.places',
    message: l10n.t`${key} is [${shape.join(', ')}], and the base model's tensor has ${size} numbers`,
    where: { file: weightsFile },
    mend: l10n.t`Use the base model that the adapter was trained on; or the file is damaged: export the adapter again.`,
  });
}

function wrongPlaces({ weightsFile }: AdapterOnDisk, message: string, size: number): never {
  return fail({
    code: 'masks.places',
    message,
    where: { file: weightsFile },
    expected: l10n.t`rising places in a tensor of ${size} numbers, or a bit for each`,
    mend: l10n.t`Use the base model that the adapter was trained on; or the file is damaged: export the adapter again.`,
  });
}
