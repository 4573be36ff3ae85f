import * as l10n from '@vscode/l10n';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { readJsonObject } from '../models/boundedJson.js';
import type { TensorInfo } from '../models/checkpoint.js';
import { readSafetensor, readSafetensorInt32, readSafetensorsHeader } from '../models/safetensors.js';
import type { NamedTensor } from '../methods/method.js';
import type { AdapterTensors, PeftFormat } from '../methods/peftFormat.js';
import type { MethodConfig } from '../methods/registry.js';
import { PEFT_TYPES, adapterFormat } from '../methods/registry.js';
import { pathKind } from '../common/files.js';
import { fail } from '../common/problem.js';
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  INDEX_DTYPE,
  MAX_CONFIG_BYTES,
  weightsMissing,
  weightsName,
} from './adapterFiles.js';

/** An adapter's folder (PEFT's, or the `adapters` library's) whose config and header are read, but not its numbers. */
export interface AdapterOnDisk extends AdapterTensors {
  /** Absolute. */
  readonly folder: string;
  readonly peftType: string;
  /** How the method that made it is read. */
  readonly format: PeftFormat<MethodConfig>;
  /** `base_model_name_or_path`; the `adapters` library's `model_name` */
  readonly baseModel: string | undefined;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The numbers of all tensors but indices, as float32. */
  loadTensors(): Promise<Map<string, NamedTensor>>;
}

/**
 * Opens an adapter folder as HF PEFT or the `adapters` library writes it.
 *
 * @throws ProblemError `adapter.folder-not-found`, `adapter.no-config`, `adapter.config.*`, `adapter.peft-type`,
 *   `adapter.pickle`, `adapter.no-weights`, `safetensors.*`
 */
export async function readAdapter(folder: string): Promise<AdapterOnDisk> {
  const location = path.resolve(folder);
  await checkFolder(location);
  const configFile = path.join(location, ADAPTER_CONFIG);
  const config = await readJsonObject(configFile, { code: 'adapter.config', maxBytes: MAX_CONFIG_BYTES });
  const format = adapterFormat(config);
  if (format === undefined) {
    const peftType = config['peft_type'];
    return fail({
      code: 'adapter.peft-type',
      message:
        peftType === undefined
          ? l10n.t`the adapter's peft_type is not given`
          : l10n.t`the adapter's peft_type is ${JSON.stringify(peftType).slice(0, 100)}`,
      where: { file: configFile },
      expected: l10n.t`one of ${PEFT_TYPES.join(', ')}`,
      mend: l10n.t`Merge an adapter of another type in Hugging Face PEFT (merge_and_unload) and use the merged model.`,
    });
  }
  const wanted = weightsName(format.library);
  const weights = path.join(location, wanted);
  if ((await pathKind(weights)) !== 'file') return fail(weightsMissing(location, await readdir(location), wanted));
  const header = await readSafetensorsHeader(weights);
  const baseModel = config[format.library === 'adapters' ? 'model_name' : 'base_model_name_or_path'];
  const read = (name: string): Promise<Float32Array> => readSafetensor(header, name);
  return {
    folder: location,
    config,
    configFile,
    weightsFile: weights,
    peftType: format.type,
    format,
    baseModel: typeof baseModel === 'string' ? baseModel : undefined,
    tensors: header.tensors,
    read,
    readIndices: (name) => readSafetensorInt32(header, name),
    async loadTensors() {
      const tensors = new Map<string, NamedTensor>();
      for (const [name, { shape, dtype }] of header.tensors) {
        if (dtype !== INDEX_DTYPE) tensors.set(name, { name, shape, data: await read(name) });
      }
      return tensors;
    },
  };
}

async function checkFolder(folder: string): Promise<void> {
  const kind = await pathKind(folder);
  if (kind !== 'folder') {
    fail({
      code: 'adapter.folder-not-found',
      message:
        kind === 'nothing' ? l10n.t`folder not found: ${folder}` : l10n.t`${folder} is a file, not a folder`,
      expected: l10n.t`an adapter folder with ${ADAPTER_CONFIG} and ${ADAPTER_WEIGHTS}`,
      mend:
        kind === 'file' ? l10n.t`Name the folder that holds it: ${path.dirname(folder)}` : l10n.t`Check the path.`,
    });
  }
  if ((await pathKind(path.join(folder, ADAPTER_CONFIG))) === 'file') return;
  const names = await readdir(folder);
  fail({
    code: 'adapter.no-config',
    message: l10n.t`the folder has no ${ADAPTER_CONFIG}`,
    where: { file: folder },
    expected: l10n.t`an adapter folder with ${ADAPTER_CONFIG} and ${ADAPTER_WEIGHTS}`,
    mend: names.includes('config.json')
      ? l10n.t`This is a whole model, not an adapter: use it as the base model.`
      : l10n.t`Name the folder that holds the adapter (a run writes it to runs/<name>/<time>/adapter).`,
  });
}
