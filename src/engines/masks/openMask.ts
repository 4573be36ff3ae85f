import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { adapterTask } from '../../adapters/adapterTask.js';
import { checkTensors } from '../../adapters/inspect.js';
import type { AdapterOnDisk } from '../../adapters/readAdapter.js';
import { pathKind } from '../../common/files.js';
import { ProblemError, fail } from '../../common/problem.js';
import type { Masks, RunEvent } from '../../training/events.js';
import { openAdapters } from '../openAdapters.js';
import { recordReader } from '../recordReader.js';
import { RUN_EVENTS } from '../runFiles.js';
import { adapterMask } from './adapterMask.js';
import { baseTensorsAt } from './baseTensors.js';
import type { BaseTensors } from './baseTensors.js';
import type { MaskTensor } from './maskTensor.js';
import { NO_PLACES } from './places.js';
import { runMask } from './runMask.js';

/** The mask of an adapter or a run. */
export interface OpenedMask {
  /** Absolute. */
  readonly folder: string;
  /** `fish_mask`; of several methods `lora + child_tuning` */
  readonly method: string;
  /** The base model as it is named there, or was named to us. */
  readonly base: string | undefined;
  /** In the order of the model. All of the base's parameters are among them where it is at hand; else those masked. */
  readonly tensors: readonly MaskTensor[];
}

export interface OpenMaskOptions {
  /** The base model, where it is not to be the one that is named in the folder. */
  readonly model?: string | undefined;
  /** The folder or file of a named model; undefined for one that is not on this machine. */
  readonly placeOf: (model: string) => Promise<string | undefined>;
}

/**
 * Opens the mask of an adapter's folder, or of a run's: as its record tells it last, else as the adapters that it wrote do.
 * Headers are read; places only when they are asked for.
 *
 * @throws ProblemError `masks.*`, `adapter.base-not-found`, and those of reading adapters, records and models
 */
export async function openMask(named: string, options: OpenMaskOptions): Promise<OpenedMask> {
  const folder = path.resolve(named);
  if ((await pathKind(path.join(folder, RUN_EVENTS))) !== 'file') return ofAdapters(folder, options);
  const { events } = await recordReader(folder).read();
  const told = events.findLast((event): event is Masks => event.type === 'masks');
  if (told === undefined) return ofAdapters(folder, options);
  if (told.sites.some(({ density, shape }) => shape !== undefined || (density > 0 && density < 1))) {
    return ofRun(folder, events, told, options);
  }
  // Tensors that train whole: the adapter says so of all of them.
  try {
    return await ofAdapters(folder, options);
  } catch (error) {
    if (error instanceof ProblemError) return ofRun(folder, events, told, options);
    throw error;
  }
}

async function ofRun(
  folder: string,
  events: readonly RunEvent[],
  told: Masks,
  { model, placeOf }: OpenMaskOptions,
): Promise<OpenedMask> {
  const started = events.findLast((event) => event.type === 'started');
  const named = model ?? started?.model;
  const place = named === undefined ? undefined : await placeOf(named);
  const base = place === undefined ? undefined : await baseTensorsAt(place);
  return {
    folder,
    method: started?.method ?? '',
    base: named,
    tensors: withOthers(runMask(folder, told, base), base),
  };
}

async function ofAdapters(folder: string, { model, placeOf }: OpenMaskOptions): Promise<OpenedMask> {
  const { adapters } = await openAdapters(folder);
  const [first] = adapters;
  const named = model ?? first.baseModel;
  const place = named === undefined ? undefined : await placeOf(named);
  if (place === undefined) return noBase(first, named);
  const base = await baseTensorsAt(place, adapterTask(first));
  const tensors = new Map<string, MaskTensor>();
  let refused: unknown;
  for (const adapter of adapters) {
    try {
      const mask = adapterMask(adapter, base);
      await checkTensors(adapter);
      for (const tensor of mask) tensors.set(tensor.name, tensor);
    } catch (error) {
      // Another method of the run may have one.
      if (!(error instanceof ProblemError) || error.problem.code !== 'masks.none') throw error;
      refused ??= error;
    }
  }
  if (tensors.size === 0) throw refused;
  return {
    folder,
    method: adapters.map(({ peftType }) => peftType.toLowerCase()).join(' + '),
    base: named,
    tensors: withOthers([...tensors.values()], base),
  };
}

/** With the parameters of the base in which nothing is marked. */
function withOthers(marked: readonly MaskTensor[], base: BaseTensors | undefined): readonly MaskTensor[] {
  const found = new Map(marked.map((tensor) => [tensor.name, tensor]));
  const ofBase = (base?.tensors ?? []).map(
    (tensor): MaskTensor => found.get(tensor.name) ?? { ...tensor, places: () => Promise.resolve(NO_PLACES) },
  );
  const names = new Set(ofBase.map(({ name }) => name));
  const beside = marked.filter(({ name }) => !names.has(name));
  // What a guided method trains is no part of the base.
  return beside.length === marked.length ? marked : [...ofBase, ...beside];
}

function noBase({ configFile }: AdapterOnDisk, named: string | undefined): never {
  return fail({
    code: 'adapter.base-not-found',
    message:
      named === undefined
        ? l10n.t`the adapter does not name its base model`
        : l10n.t`the base model "${named}" is not on this machine`,
    where: { file: configFile },
    expected: l10n.t`a model folder or a .gguf file: its header says how large the tensors are`,
    mend: l10n.t`Name it with --model.`,
  });
}
