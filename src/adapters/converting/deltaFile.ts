import * as l10n from '@vscode/l10n';
import path from 'node:path';
import type { JsonObject } from '../../common/json.js';
import { isJsonObject } from '../../common/json.js';
import { pathKind } from '../../common/files.js';
import { fail } from '../../common/problem.js';
import { firstOutOfOrder } from '../../methods/placeOrder.js';
import { parseJson } from '../../models/boundedJson.js';
import { readSafetensor, readSafetensorInt32, readSafetensorsHeader } from '../../models/safetensors.js';
import { writeSafetensors } from '../../models/writeSafetensors.js';
import type { IntegersToWrite, TensorToWrite } from '../../models/writeSafetensors.js';
import { INDEX_DTYPE } from '../adapterFiles.js';
import type { SparseDifference } from '../sparseSum.js';

/** The version of the form: it is what tells a delta file from other safetensors files. */
const FORMAT = '1';

const VALUES = '.values';
const INDICES = '.indices';

/** What training changed of a base model: θ − θ₀, in one safetensors file. */
export interface DeltaFile {
  readonly file: string;
  readonly about: DeltaFacts;
  /** The base's own names of the tensors that changed, in the file's order. */
  readonly names: readonly string[];
  /** All differences of a tensor, or those that are named with their places. */
  read(name: string): Promise<Difference>;
}

export type Difference =
  { readonly kind: 'dense'; readonly values: Float32Array } | ({ readonly kind: 'sparse' } & SparseDifference);

/** What its header says. */
export interface DeltaFacts {
  readonly baseModel: string;
  readonly revision?: string;
  /** As {@link baseHash} has it. */
  readonly baseHash: string;
  /** `adapter_config.json` of the adapter whose own numbers they are. */
  readonly config?: JsonObject;
}

/** One tensor to be written; a dense one is made when its turn comes. */
export type DeltaTensor = { readonly name: string } & (
  | { readonly kind: 'dense'; readonly shape: readonly number[]; readonly values: () => Promise<Float32Array> }
  | ({ readonly kind: 'sparse' } & SparseDifference)
);

/** Writes a delta file, whole or not at all. Errors: those of `writeSafetensors`. */
export async function writeDeltaFile(
  file: string,
  tensors: readonly DeltaTensor[],
  about: DeltaFacts,
): Promise<void> {
  const written = tensors.flatMap((tensor): (TensorToWrite | IntegersToWrite)[] => {
    const { name } = tensor;
    if (tensor.kind === 'dense') return [{ name, shape: tensor.shape, dtype: 'F32', data: tensor.values }];
    const { values, places } = tensor;
    return [
      { name: `${name}${VALUES}`, shape: [values.length], dtype: 'F32', data: values },
      { name: `${name}${INDICES}`, shape: [places.length], dtype: INDEX_DTYPE, data: places },
    ];
  });
  await writeSafetensors(file, written, {
    format: 'pt',
    delta_format: FORMAT,
    base_model_name_or_path: about.baseModel,
    ...(about.revision === undefined ? {} : { revision: about.revision }),
    base_sha256: about.baseHash,
    ...(about.config === undefined ? {} : { adapter_config: JSON.stringify(about.config) }),
  });
}

/** Whether a path names a file that may be a delta: by its ending. */
export async function isSafetensorsFile(place: string): Promise<boolean> {
  return place.endsWith('.safetensors') && (await pathKind(place)) === 'file';
}

/**
 * Opens a delta file: its header is read, and none of its numbers.
 * @throws ProblemError `delta.format`, `delta.pair`, `safetensors.*`; when a tensor is read: `delta.indices`
 */
export async function readDeltaFile(named: string): Promise<DeltaFile> {
  const file = path.resolve(named);
  const header = await readSafetensorsHeader(file);
  const { metadata, tensors } = header;
  const { delta_format: format, base_model_name_or_path: baseModel, base_sha256: baseHash, revision } = metadata;
  if (format !== FORMAT || baseModel === undefined || baseHash === undefined) {
    return fail({
      code: 'delta.format',
      message:
        format === undefined
          ? l10n.t`the file is no delta: its header does not say what model the numbers are differences from`
          : l10n.t`the file is a delta of format ${format}, and does not say all that is needed`,
      where: { file },
      expected: l10n.t`delta_format ${FORMAT}, base_model_name_or_path and base_sha256 in the header, as convert --to delta writes them`,
    });
  }
  const config = metadata['adapter_config'];
  const parsed = config === undefined ? undefined : parseJson(config, { file, code: 'delta.config' });
  const sparse = new Set<string>();
  for (const name of tensors.keys()) if (name.endsWith(VALUES)) sparse.add(name.slice(0, -VALUES.length));
  const names: string[] = [];
  for (const [name, { shape }] of tensors) {
    if (name.endsWith(INDICES)) {
      if (!sparse.has(name.slice(0, -INDICES.length))) unpaired(file, name);
    } else if (name.endsWith(VALUES)) {
      const own = name.slice(0, -VALUES.length);
      const places = tensors.get(`${own}${INDICES}`);
      if (places?.dtype !== INDEX_DTYPE || places.shape.length !== 1 || places.shape.join() !== shape.join()) {
        unpaired(file, name);
      }
      names.push(own);
    } else names.push(name);
  }
  return {
    file,
    about: {
      baseModel,
      ...(revision === undefined ? {} : { revision }),
      baseHash,
      ...(parsed !== undefined && isJsonObject(parsed) ? { config: parsed } : {}),
    },
    names,
    async read(name) {
      if (!sparse.has(name)) return { kind: 'dense', values: await readSafetensor(header, name) };
      const places = await readSafetensorInt32(header, `${name}${INDICES}`);
      const wrong = firstOutOfOrder(places, Infinity);
      if (wrong >= 0) {
        fail({
          code: 'delta.indices',
          message: l10n.t`${name}${INDICES} holds ${String(places[wrong])} at position ${wrong}`,
          where: { file },
          expected: l10n.t`rising numbers from 0 up`,
          mend: l10n.t`The file is damaged: make it again.`,
        });
      }
      return { kind: 'sparse', places, values: await readSafetensor(header, `${name}${VALUES}`) };
    },
  };
}

function unpaired(file: string, name: string): never {
  return fail({
    code: 'delta.pair',
    message: l10n.t`${name} stands alone, or beside places of another number or type`,
    where: { file },
    expected: l10n.t`NAME.values (floats) and NAME.indices (I32) of one length`,
    mend: l10n.t`The file is damaged: make it again.`,
  });
}
