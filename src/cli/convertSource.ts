import path from 'node:path';
import { ADAPTER_CONFIG } from '../adapters/adapterFiles.js';
import { taskOnBase } from '../adapters/adapterTask.js';
import { attachAdapter } from '../adapters/attachAdapter.js';
import { isSafetensorsFile, readDeltaFile } from '../adapters/converting/deltaFile.js';
import type { DeltaFile } from '../adapters/converting/deltaFile.js';
import { checkDeltaBase, tunedByDelta } from '../adapters/converting/fromDelta.js';
import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { tunedByAdapter, tunedModel } from '../adapters/converting/toLora.js';
import type { Tuned } from '../adapters/converting/toLora.js';
import { pathKind } from '../common/files.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { openModel } from '../engines/session.js';
import type { OpenedModel } from '../engines/session.js';
import { RESOLVED_CONFIG } from '../engines/runFiles.js';
import { openCheckpoint } from '../models/openCheckpoint.js';
import { baseNamed, baseOf } from './adapterBase.js';
import type { Arguments } from './arguments.js';
import { hubOf } from './hub.js';
import type { Io } from './io.js';
import { openOneAdapter } from './openOneAdapter.js';
import { refuseInside } from './refuseInside.js';

/** What is to be converted: an adapter, a model that was trained, or a delta file; and the base that it is of. */
export interface ConvertSource {
  /** Absolute. */
  readonly from: string;
  readonly adapter?: AdapterOnDisk;
  readonly delta?: DeltaFile;
  readonly opened: OpenedModel;
  /** The numbers after training, by those before. */
  readonly tuned: () => Tuned;
  readonly base: string;
  readonly warnings: readonly Problem[];
}

/** The adapter that the first argument names, where it names one: its folder, or the folder of a run. */
export async function adapterNamed(args: Arguments): Promise<AdapterOnDisk | undefined> {
  const from = path.resolve(args.positional(0));
  for (const file of [ADAPTER_CONFIG, RESOLVED_CONFIG]) {
    if ((await pathKind(path.join(from, file))) === 'file') return openOneAdapter(from);
  }
  return undefined;
}

/**
 * @throws ProblemError `cli.out-inside`, `convert.not-found`, `cli.option-missing` for a model whose base is not named; those of the files
 */
export async function convertSource(
  args: Arguments,
  io: Io,
  adapter: AdapterOnDisk | undefined,
): Promise<ConvertSource> {
  const from = path.resolve(args.positional(0));
  await refuseInside(args.required('out'), [adapter?.folder ?? from]);
  const named = args.text('model');
  if (adapter !== undefined) {
    const base = named ?? (await baseOf(adapter));
    const opened = await openModel(base, 0, hubOf(io), taskOnBase(adapter));
    const { method, values, warnings } = await attachAdapter(adapter, opened.context);
    const tuned = (): Tuned => tunedByAdapter(method, values);
    return { from: adapter.folder, adapter, opened, tuned, base: opened.pinned ?? path.resolve(base), warnings };
  }
  if (await isSafetensorsFile(from)) {
    const delta = await readDeltaFile(from);
    const { baseModel, revision } = delta.about;
    const base = named ?? (await baseNamed(baseModel, revision, delta.file));
    const opened = await openModel(base, 0, hubOf(io));
    await checkDeltaBase(delta, opened.context);
    return {
      from,
      delta,
      opened,
      tuned: () => tunedByDelta(delta),
      base: opened.pinned ?? path.resolve(base),
      warnings: [],
    };
  }
  if ((await pathKind(from)) === 'nothing') {
    return fail({
      code: 'convert.not-found',
      message: `there is no folder or file ${from}`,
      expected: 'the folder of an adapter or a model, a .gguf file, or a delta file',
    });
  }
  if (named === undefined) {
    return fail({
      code: 'cli.option-missing',
      message: `${from} is no adapter, and a model does not say what it was trained from`,
      mend: 'Name the base model with --model BASE; or name an adapter folder.',
    });
  }
  const trained = await openCheckpoint(from);
  const opened = await openModel(named, 0, hubOf(io));
  const tuned = tunedModel(trained, opened.model.task);
  return { from, opened, tuned: () => tuned, base: opened.pinned ?? path.resolve(named), warnings: [] };
}
