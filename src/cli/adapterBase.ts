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
  const { baseModel, config } = adapter;
  if (baseModel !== undefined && (await pathKind(baseModel)) !== 'nothing') return baseModel;
  const id = baseModel === undefined ? undefined : await modelIdAt(baseModel, '.');
  if (id !== undefined) {
    const named = config['revision'];
    return modelIdText({ ...id, revision: typeof named === 'string' && named !== '' ? named : id.revision });
  }
  return fail({
    code: 'adapter.base-not-found',
    message:
      baseModel === undefined
        ? l10n.t`the adapter does not name its base model`
        : l10n.t`the adapter's base model "${baseModel}" is no folder or file on this machine, and no id of the hub`,
    where: { file: path.join(adapter.folder, ADAPTER_CONFIG) },
    mend: l10n.t`Name it with --${option} BASE: a model folder, a .gguf file, or an id of the hub.`,
  });
}
