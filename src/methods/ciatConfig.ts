import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import { lowRankNorm } from '../linalg/products.js';
import { peftTaskType } from '../models/task.js';
import { CiatOptions } from './ciat.js';
import type { AttachContext } from './method.js';
import { optionsOfOurs, readOptions } from './peftConfig.js';
import type { AdapterTensors, InspectedModule, InspectedTensors } from './peftFormat.js';

/** An `adapter_config.json` in PEFT's manner: neither PEFT nor the `adapters` library has such a method. */
export function ciatConfigToPeft(options: CiatOptions, size: number, context: AttachContext): JsonObject {
  return {
    base_model_name_or_path: context.modelName,
    bottleneck_size: size,
    dropout: options.dropout,
    embedding_adapters: options.embedding_adapters,
    inference_mode: true,
    init_weights: options.init_weights,
    layer_adapters: options.layer_adapters,
    peft_type: 'CIAT',
    revision: context.modelRevision ?? null,
    task_type: peftTaskType(context.model.task),
  };
}

/**
 * CIAT's options out of an `adapter_config.json` (see {@link optionsOfOurs}).
 * @throws ProblemError `adapter.config`
 */
export function ciatConfigFromPeft(
  config: JsonObject,
  source: string,
): { readonly options: CiatOptions; readonly warnings: readonly Problem[] } {
  return optionsOfOurs(config, source, { schema: CiatOptions, type: 'ciat', title: 'CIAT' });
}

const DOWN = /^(.+)\.ciat\.down\.weight$/;

/** What an adapter's tensors are, without the base model. */
export async function inspectCiat(adapter: AdapterTensors): Promise<InspectedTensors> {
  const problems: Problem[] = [];
  readOptions(ciatConfigFromPeft, adapter, problems);
  const keys = [...adapter.tensors.keys()];
  const known = new Set<string>();
  const modules: InspectedModule[] = [];
  for (const key of keys) {
    const path = DOWN.exec(key)?.[1];
    if (path === undefined) continue;
    const own = keys.filter((each) => each.startsWith(`${path}.ciat.`));
    own.forEach((each) => known.add(each));
    const [a, b] = [adapter.tensors.get(key)!.shape, adapter.tensors.get(`${path}.ciat.up.weight`)?.shape ?? []];
    const rank = a[0] ?? 0;
    if (a.length !== 2 || b.join() !== [a[1], rank].join()) {
      problems.push({
        code: 'adapter.shape',
        severity: 'error',
        message: l10n.t`the tensors of ${path} do not fit each other`,
        where: { file: adapter.weightsFile },
        expected: l10n.t`down [m, width] and up [width, m], each with its bias`,
        mend: l10n.t`The file is damaged: export the adapter again.`,
      });
      continue;
    }
    const norm = lowRankNorm(await adapter.read(`${path}.ciat.up.weight`), await adapter.read(key), rank);
    const trainable = own.reduce(
      (sum, each) => sum + adapter.tensors.get(each)!.shape.reduce((product, length) => product * length, 1),
      0,
    );
    modules.push({ path, rank, scale: 1, a, b, trainable, norm });
  }
  return {
    r: undefined,
    alpha: undefined,
    modules,
    whole: [],
    unknown: keys.filter((key) => !known.has(key)),
    problems,
  };
}
