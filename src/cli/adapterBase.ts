import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { ADAPTER_CONFIG } from '../adapters/adapterFiles.js';
import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { pathKind } from '../common/files.js';
import { fail } from '../common/problem.js';
import { modelIdAt, modelIdText } from '../models/hub/ids.js';

/**
 * The base model that the adapter names: on this machine, or in the hub.
 * @param option of the command that names another one
 * @throws ProblemError `adapter.base-not-found`
 */
export async function baseOf(adapter: AdapterOnDisk, option = 'model'): Promise<string> {
  const { baseModel, config, folder } = adapter;
  const named = config['revision'];
  const revision = typeof named === 'string' && named !== '' ? named : undefined;
  return baseNamed(baseModel, revision, path.join(folder, ADAPTER_CONFIG), option);
}

/**
 * The base model of a name that a file has.
 * @param revision of an id in the hub, where it is given beside it
 * @throws ProblemError `adapter.base-not-found`
 */
export async function baseNamed(
  baseModel: string | undefined,
  revision: string | undefined,
  file: string,
  option = 'model',
): Promise<string> {
  if (baseModel !== undefined && (await pathKind(baseModel)) !== 'nothing') return baseModel;
  const id = baseModel === undefined ? undefined : await modelIdAt(baseModel, '.');
  if (id !== undefined) return modelIdText({ ...id, revision: revision ?? id.revision });
  return fail({
    code: 'adapter.base-not-found',
    message:
      baseModel === undefined
        ? l10n.t`the adapter does not name its base model`
        : l10n.t`the adapter's base model "${baseModel}" is no folder or file on this machine, and no id of the hub`,
    where: { file },
    mend: l10n.t`Name it with --${option} BASE: a model folder, a .gguf file, or an id of the hub.`,
  });
}
