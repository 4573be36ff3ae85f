import * as l10n from '@vscode/l10n';
import { readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { pathKind } from '../common/files.js';
import { isJsonObject } from '../common/json.js';
import { nearestName } from '../common/nearest.js';
import { fail } from '../common/problem.js';
import { readJsonObject } from './boundedJson.js';
import type { Checkpoint, MappedWeights, TensorInfo } from './checkpoint.js';
import { convertedWeights, mappedFiles } from './convertedWeights.js';
import type { SafetensorsHeader } from './safetensors.js';
import { FLOAT_DTYPES, readSafetensor, readSafetensorsHeader, safetensorParts } from './safetensors.js';

/** Real `config.json` files have a few kB. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
/** One line per tensor: 100,000 tensors make about 10 MB. */
const MAX_INDEX_BYTES = 25 * 1024 * 1024;
/** The biggest checkpoints have some 200 shards. */
const MAX_SHARDS = 2000;

/**
 * Opens a Hugging Face model folder: `config.json` with `model.safetensors` or shards listed in
 * `model.safetensors.index.json`. Links are followed (a hub cache's snapshot is links into `blobs/`). All
 * headers are read and checked, no weights. Errors: `checkpoint.*`, `safetensors.*`.
 */
export async function openSafetensorsFolder(source: string): Promise<Checkpoint> {
  const folder = path.resolve(source);
  const kind = await pathKind(folder);
  if (kind !== 'folder') {
    fail({
      code: 'checkpoint.folder-not-found',
      message:
        kind === 'nothing' ? l10n.t`folder not found: ${folder}` : l10n.t`${folder} is a file, not a folder`,
      expected: l10n.t`a model folder on this machine, with config.json and model.safetensors`,
      mend: l10n.t`Check the path.`,
    });
  }
  const config = await readConfig(folder);
  const shards = await readShards(folder);
  const tensors = new Map<string, TensorInfo>();
  const owner = new Map<string, SafetensorsHeader>();
  for (const shard of shards) {
    for (const [name, { dtype, shape }] of shard.tensors) {
      tensors.set(name, { dtype, shape });
      owner.set(name, shard);
    }
  }
  const read = async (name: string): Promise<Float32Array> => {
    const shard = owner.get(name);
    if (shard) return readSafetensor(shard, name);
    return unknownTensor(folder, name, tensors.keys());
  };
  return {
    source: folder,
    format: 'safetensors',
    config,
    tensors,
    read,
    mapped: (onProgress) => mapShards(shards, onProgress),
  };
}

/** Throws `checkpoint.unknown-tensor` with the nearest name. */
export function unknownTensor(file: string, name: string, names: Iterable<string>): never {
  const near = nearestName(name, names);
  return fail({
    code: 'checkpoint.unknown-tensor',
    message: l10n.t`the checkpoint has no tensor ${name}`,
    where: { file },
    ...(near === undefined ? {} : { expected: l10n.t`perhaps ${near}` }),
  });
}

async function mapShards(
  shards: readonly SafetensorsHeader[],
  onProgress?: (done: number, total: number) => void,
): Promise<MappedWeights> {
  const floats = shards.flatMap((shard) =>
    [...shard.tensors]
      .filter(([, { dtype }]) => FLOAT_DTYPES.includes(dtype))
      .map(([name, entry]) => ({ shard, name, ...entry })),
  );
  const folders = new Set<string>();
  for (const { file } of shards) folders.add(path.dirname(await realpath(file)));
  // An unpadded header leaves float32 values on odd addresses: such a file cannot be used in place.
  const inPlace = floats.every(({ dtype, offset }) => dtype === 'F32' && offset % 4 === 0);
  if (inPlace && folders.size === 1) return mappedFiles(shards);
  return convertedWeights(
    shards.map(({ file }) => file),
    floats.map(({ shard, name, shape }) => ({ name, shape, read: () => safetensorParts(shard, name) })),
    onProgress,
  );
}

/** `config.json` of a model folder; weights need not be there. Errors: `checkpoint.no-config`, `checkpoint.config*`. */
export async function readConfig(folder: string): Promise<Checkpoint['config']> {
  const file = path.join(folder, 'config.json');
  if ((await pathKind(file)) === 'file') {
    return readJsonObject(file, { code: 'checkpoint.config', maxBytes: MAX_CONFIG_BYTES });
  }
  const names = await readdir(folder);
  const gguf = names.find((name) => name.toLowerCase().endsWith('.gguf'));
  const isAdapter = names.includes('adapter_config.json');
  return fail({
    code: 'checkpoint.no-config',
    message: l10n.t`the folder has no config.json; it holds ${listed(names)}`,
    where: { file: folder },
    expected: l10n.t`a model folder with config.json and model.safetensors`,
    mend: gguf
      ? l10n.t`Name the GGUF file itself: ${path.join(folder, gguf)}`
      : isAdapter
        ? l10n.t`This is an adapter, not a base model: name the model that it was trained on.`
        : l10n.t`Name the folder that holds config.json (in a hub cache: …/snapshots/<commit>).`,
  });
}

async function readShards(folder: string): Promise<SafetensorsHeader[]> {
  const index = path.join(folder, 'model.safetensors.index.json');
  const single = path.join(folder, 'model.safetensors');
  // As Transformers does: a single file is preferred over an index beside it.
  if ((await pathKind(single)) === 'file') return [await readSafetensorsHeader(single)];
  if ((await pathKind(index)) === 'file') return readIndexed(folder, index);
  return noWeights(folder);
}

async function noWeights(folder: string): Promise<never> {
  const names = await readdir(folder);
  const pickled = names.find((name) => /\.(bin|pt|pth|ckpt)$/.test(name));
  if (pickled !== undefined) {
    fail({
      code: 'checkpoint.pickle',
      message: l10n.t`the weights are in ${pickled}, a pickle: loading one can run any code, so it is refused`,
      where: { file: folder },
      expected: 'model.safetensors',
      mend: l10n.t`Convert a model that you trust once, with Python: AutoModelForCausalLM.from_pretrained(${JSON.stringify(folder)}).save_pretrained("converted").`,
    });
  }
  return fail({
    code: 'checkpoint.no-weights',
    message: l10n.t`the folder has no weights; it holds ${listed(names)}`,
    where: { file: folder },
    expected: l10n.t`model.safetensors or model.safetensors.index.json`,
    mend: l10n.t`Complete the download, or name the folder that holds the weights.`,
  });
}

async function readIndexed(folder: string, index: string): Promise<SafetensorsHeader[]> {
  const { weight_map: weightMap } = await readJsonObject(index, {
    code: 'checkpoint.index',
    maxBytes: MAX_INDEX_BYTES,
  });
  const where = { file: index };
  if (!isJsonObject(weightMap) || Object.keys(weightMap).length === 0) {
    return fail({
      code: 'checkpoint.index',
      message: l10n.t`weight_map is missing or empty`,
      where,
      expected: '{ "weight_map": { "<tensor>": "<file>", … } }',
    });
  }
  const headers = new Map<string, SafetensorsHeader>();
  for (const [tensor, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || !isPlainFileName(shard)) {
      fail({
        code: 'checkpoint.shard-path',
        message: l10n.t`${tensor} is said to be in ${JSON.stringify(shard)?.slice(0, 200)}`,
        where,
        expected: l10n.t`the name of a .safetensors file in the same folder`,
        mend: l10n.t`A path that leaves the folder is refused: mend the index, or download the model again.`,
      });
    }
    let header = headers.get(shard);
    if (!header) {
      const file = path.join(folder, shard);
      if (headers.size === MAX_SHARDS) {
        fail({ code: 'checkpoint.index', message: l10n.t`more than ${MAX_SHARDS} shards`, where });
      }
      if ((await pathKind(file)) !== 'file') {
        fail({
          code: 'checkpoint.shard-missing',
          message: l10n.t`the shard ${shard} is not in the folder (it should hold ${tensor})`,
          where,
          mend: l10n.t`Complete the download of the model.`,
        });
      }
      header = await readSafetensorsHeader(file);
      headers.set(shard, header);
    }
    if (!header.tensors.has(tensor)) {
      fail({
        code: 'checkpoint.shard-tensor',
        message: l10n.t`${shard} does not hold ${tensor}, which the index says it does`,
        where,
        mend: l10n.t`Index and shards belong to different versions: download the model again.`,
      });
    }
  }
  checkUnique(index, headers);
  return [...headers.values()];
}

/** Tensors that the index does not list are taken too, as Transformers does; two of one name cannot be. */
function checkUnique(index: string, headers: ReadonlyMap<string, SafetensorsHeader>): void {
  const owners = new Map<string, string>();
  for (const [shard, { tensors }] of headers) {
    for (const name of tensors.keys()) {
      const other = owners.get(name);
      if (other !== undefined) {
        fail({
          code: 'checkpoint.shard-tensor',
          message: l10n.t`both ${other} and ${shard} hold ${name}`,
          where: { file: index },
          mend: l10n.t`The shards belong to different versions: download the model again.`,
        });
      }
      owners.set(name, shard);
    }
  }
}

function isPlainFileName(name: string): boolean {
  return (
    name.endsWith('.safetensors') && !/[\\/:\0]/.test(name) && name !== '.safetensors' && !name.startsWith('..')
  );
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 8).join(', ') || 'nothing';
  return names.length > 8 ? l10n.t`${shown} and ${names.length - 8} more` : shown;
}
