import path from 'node:path';
import * as l10n from '@vscode/l10n';
import { pathKind } from '../common/files.js';
import type { Json, JsonObject } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import { readJsonObject } from '../models/boundedJson.js';
import { ADAPTER_SETUP, LIBRARY_FILES, MAX_CONFIG_BYTES } from './adapterFiles.js';

/** A fusion of adapters as the `adapters` library keeps it: a folder for each of them and one for the fusion. */
export interface AdapterSetup {
  /** `fusion` and `adapters`: the configs of the parts, the adapters' in the order of the fusion. */
  readonly config: JsonObject;
  /** The parts' weights. */
  readonly weights: readonly string[];
}

/**
 * Reads the configs of a folder that the library's `save_adapter_setup` wrote; undefined where it is none.
 * @throws ProblemError `adapter.setup` for one that is no fusion of adapters, `adapter.config.*`
 */
export async function readSetup(folder: string): Promise<AdapterSetup | undefined> {
  const file = path.join(folder, ADAPTER_SETUP);
  if ((await pathKind(file)) !== 'file') return undefined;
  const read = (name: string): Promise<JsonObject> =>
    readJsonObject(name, { code: 'adapter.config', maxBytes: MAX_CONFIG_BYTES });
  const { adapter_setup: setup = null } = await read(file);
  const names = fusedNames(setup) ?? failSetup(file);
  const fusion = names.join(',');
  const at = (part: keyof typeof LIBRARY_FILES, own: string): { config: string; weights: string } => ({
    config: path.join(folder, own, LIBRARY_FILES[part].config),
    weights: path.join(folder, own, LIBRARY_FILES[part].weights),
  });
  const parts = names.map((name) => at('adapter', name));
  const fused = at('fusion', fusion);
  const configs = await Promise.all(parts.map(({ config }) => read(config)));
  const fusionConfig = await read(fused.config);
  const base = fusionConfig['model_name'];
  // Ours says what it is for, too; the library writes none.
  const own = path.join(folder, LIBRARY_FILES.adapter.config);
  const more = (await pathKind(own)) === 'file' ? await read(own) : {};
  return {
    config: {
      ...more,
      peft_type: 'ADAPTER_FUSION',
      ...(typeof base === 'string' ? { base_model_name_or_path: base } : {}),
      fusion: fusionConfig,
      adapters: configs,
    },
    weights: [...parts, fused].map(({ weights }) => weights),
  };
}

/** The adapters of a fusion, as its setup has them; their names are folders within it. */
function fusedNames(setup: Json): readonly string[] | undefined {
  if (!isJsonObject(setup) || setup['type'] !== 'Fuse' || !Array.isArray(setup['children'])) return undefined;
  const names = (setup['children'] as readonly Json[]).map((child) => {
    const own = isJsonObject(child) && child['type'] === 'single' ? child['children'] : undefined;
    const name: Json | undefined = Array.isArray(own) ? (own as readonly Json[])[0] : undefined;
    return typeof name === 'string' && /^[^/\\]+$/.test(name) && !/^\.+$/.test(name) ? name : undefined;
  });
  return names.length > 0 && names.every((name) => name !== undefined) ? names : undefined;
}

function failSetup(file: string): never {
  return fail({
    code: 'adapter.setup',
    message: l10n.t`the adapters are not put together as a fusion`,
    where: { file },
    expected: l10n.t`a setup of type Fuse, of single adapters`,
    mend: l10n.t`Use one of the adapters by itself: name its folder.`,
  });
}
