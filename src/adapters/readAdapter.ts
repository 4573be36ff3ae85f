import * as l10n from '@vscode/l10n';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { readJsonObject } from '../models/boundedJson.js';
import type { TensorInfo } from '../models/checkpoint.js';
import { readSafetensor, readSafetensorInt32, readSafetensorsHeader } from '../models/safetensors.js';
import type { SafetensorsHeader } from '../models/safetensors.js';
import type { NamedTensor } from '../methods/method.js';
import type { AdapterTensors, PeftFormat } from '../methods/peftFormat.js';
import type { MethodConfig } from '../methods/registry.js';
import { PEFT_TYPES, adapterFormat } from '../methods/registry.js';
import { pathKind } from '../common/files.js';
import type { Json, JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import {
  ADAPTER_CONFIG,
  ADAPTER_SETUP,
  ADAPTER_LABELS,
  ADAPTER_WEIGHTS,
  INDEX_DTYPE,
  MAX_CONFIG_BYTES,
  NESTED,
  weightsMissing,
  weightsName,
} from './adapterFiles.js';
import { formOf } from './faults/diagnose.js';
import type { About, Form } from './faults/fault.js';
import { methodFaults } from './faults/methodFaults.js';
import { withRepair } from './faults/repairMend.js';
import { otherFormat } from './otherFormats.js';
import { readLibraryHead } from './readHead.js';
import { readSetup } from './readSetup.js';
import { adaptersWithin } from './taskFolders.js';

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
  /** The names of the classes that its head tells apart, by their number, where a file beside it holds them. */
  readonly labels?: readonly string[];
  /** Its first components are those of any lower rank: it was trained so. */
  readonly nested: boolean;
  /** The numbers of all tensors but indices, as float32. */
  loadTensors(): Promise<Map<string, NamedTensor>>;
}

/**
 * Opens an adapter folder as HF PEFT or the `adapters` library writes it.
 *
 * @param mend what is to be taken for its config and tensors, of what the files hold
 * @throws ProblemError `adapter.folder-not-found`, `adapter.no-config`, `adapter.config.*`, `adapter.peft-type`,
 *   `adapter.pickle`, `adapter.no-weights`, `adapter.dtype`, `safetensors.*`
 */
export async function readAdapter(
  folder: string,
  mend?: (form: Form, about: About) => Form,
): Promise<AdapterOnDisk> {
  const location = path.resolve(folder);
  const setup = await readSetup(location);
  if (setup === undefined) await checkFolder(location);
  const configFile = path.join(location, setup === undefined ? ADAPTER_CONFIG : ADAPTER_SETUP);
  const written =
    setup?.config ?? (await readJsonObject(configFile, { code: 'adapter.config', maxBytes: MAX_CONFIG_BYTES }));
  const said = adapterFormat(written);
  const wanted = weightsName(said?.library);
  const own = path.join(location, wanted);
  if (said === undefined && mend === undefined) return refuseType(written, configFile, own);
  // What trained beside a fusion lies next to its parts.
  const [weights = own, ...others] =
    setup === undefined ? [] : [...setup.weights, ...((await pathKind(own)) === 'file' ? [own] : [])];
  if ((await pathKind(weights)) !== 'file') return fail(weightsMissing(location, await readdir(location), wanted));
  // Ours lies among the adapter's own tensors, where the library finds it, too.
  const head = said?.library === 'adapters' ? await readLibraryHead(location) : undefined;
  const files = [weights, ...others, ...(head === undefined ? [] : [head.weights])];
  const headers = await Promise.all(files.map(readSafetensorsHeader));
  const found = formOf(written, new Map(headers.flatMap((header) => [...header.tensors])));
  const { config, tensors } = mend?.(found, { configFile, weightsFile: weights }) ?? found;
  const format = adapterFormat(config);
  if (format === undefined) return refuseType(config, configFile, own);
  if (format.prepared !== undefined) checkIntegers(tensors, weights);
  const source = (name: string): readonly [SafetensorsHeader, string] => {
    const { from = name } = tensors.get(name) ?? {};
    return [headers.find((each) => each.tensors.has(from)) ?? headers[0]!, from];
  };
  const baseModel = config[format.library === 'adapters' ? 'model_name' : 'base_model_name_or_path'];
  const labels = (await readLabels(location)) ?? head?.labels;
  const read = async (name: string): Promise<Float32Array> => {
    const values = await readSafetensor(...source(name));
    const { transposed = false, shape } = tensors.get(name) ?? {};
    return transposed ? transpose(values, shape?.[0] ?? 1) : values;
  };
  return {
    folder: location,
    config,
    configFile,
    weightsFile: weights,
    peftType: format.type,
    format,
    baseModel: typeof baseModel === 'string' ? baseModel : undefined,
    tensors,
    ...(labels === undefined ? {} : { labels }),
    nested: isNested(headers[0]!),
    read,
    readIndices: (name) => readSafetensorInt32(...source(name)),
    async loadTensors() {
      const loaded = new Map<string, NamedTensor>();
      for (const [name, { shape, dtype }] of tensors) {
        if (dtype !== INDEX_DTYPE) loaded.set(name, { name, shape, data: await read(name) });
      }
      return loaded;
    },
  };
}

/** @param rows of the result, which the values have as columns */
function transpose(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows;
  return values.map((_, at) => values[(at % columns) * rows + Math.floor(at / columns)]!);
}

/** @throws ProblemError `adapter.peft-type`, with the repair where the tensors say which it is */
async function refuseType(config: JsonObject, configFile: string, weightsFile: string): Promise<never> {
  const peftType = config['peft_type'];
  const header = await readSafetensorsHeader(weightsFile).catch(() => undefined);
  const [fault] = methodFaults(formOf(config, header?.tensors ?? new Map()), { configFile, weightsFile });
  const problem = {
    code: 'adapter.peft-type',
    message:
      peftType === undefined
        ? l10n.t`the adapter's peft_type is not given`
        : l10n.t`the adapter's peft_type is ${JSON.stringify(peftType).slice(0, 100)}`,
    where: { file: configFile },
    expected: l10n.t`one of ${PEFT_TYPES.join(', ')}`,
  };
  if (fault?.repair !== undefined) return fail(withRepair(problem, path.dirname(configFile)));
  return fail({
    ...problem,
    mend: l10n.t`Merge an adapter of another type in Hugging Face PEFT (merge_and_unload) and use the merged model.`,
    ...otherFormat(config, configFile),
  });
}

function isNested({ metadata }: SafetensorsHeader): boolean {
  return Object.entries(NESTED).every(([key, value]) => metadata[key] === value);
}

/** Names of the tensors that say which numbers of the base an adapter is about: places, or the bits of a mask. */
const INTEGERS = /\.(?:indices|mask)$/;

/** @throws ProblemError `adapter.dtype` */
function checkIntegers(tensors: AdapterOnDisk['tensors'], file: string): void {
  const wrong = [...tensors].find(([name, { dtype }]) => INTEGERS.test(name) && dtype !== INDEX_DTYPE);
  if (wrong === undefined) return;
  const [name, { dtype }] = wrong;
  fail({
    code: 'adapter.dtype',
    message: l10n.t`${name} has type ${dtype}`,
    where: { file },
    expected: l10n.t`32-bit integers (${INDEX_DTYPE}), as places and masks are`,
    mend: l10n.t`Export the adapter again, with 32-bit integers.`,
  });
}

/** @throws ProblemError `adapter.labels` */
async function readLabels(folder: string): Promise<readonly string[] | undefined> {
  const file = path.join(folder, ADAPTER_LABELS);
  if ((await pathKind(file)) !== 'file') return undefined;
  const labels: readonly Json[] | undefined = listIn(
    await readJsonObject(file, { code: 'adapter.labels', maxBytes: MAX_CONFIG_BYTES }),
  );
  if (labels?.every((label) => typeof label === 'string') === true) return labels;
  return fail({
    code: 'adapter.labels',
    message: l10n.t`the file holds no names of classes`,
    where: { file },
    expected: l10n.t`{ "labels": [a name for each class, in their order] }`,
  });
}

function listIn({ labels }: JsonObject): readonly Json[] | undefined {
  return Array.isArray(labels) ? labels : undefined;
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
  const tasks = await adaptersWithin(folder);
  if (tasks.length > 0) {
    fail({
      code: 'adapter.several',
      message: l10n.t`the folder holds several adapters: ${tasks.join(', ')}`,
      where: { file: folder },
      mend: l10n.t`Name the folder of one of them, or, of adapters of tasks, the task: --task NAME.`,
    });
  }
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
