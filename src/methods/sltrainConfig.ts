import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import type { MethodInfo } from './info.js';
import { inspectLora } from './inspectLora.js';
import type { AttachContext } from './method.js';
import { optionsOfOurs, readOptions } from './peftConfig.js';
import type { AdapterTensors, InspectedModule, PeftFormat } from './peftFormat.js';
import type { SltrainOptions } from './sltrain.js';
import { sparseConfig, sparseFormat } from './sparseDeltaConfig.js';
import { sparsePairNorm } from './sparsePairNorm.js';

const PEFT_TYPE = 'SLTRAIN';

/** Which way round the weights lie whose places are saved: told by the modules when the adapter is used. */
const LAYOUT = 'fan_in_fan_out';

/** An `adapter_config.json` in PEFT's manner: PEFT itself has no such method. */
export function sltrainConfig(options: SltrainOptions, context: AttachContext): JsonObject {
  const swapped = context.model.sites.some(({ layout }) => layout === 'in-out');
  return sparseConfig(PEFT_TYPE, { ...options, [LAYOUT]: swapped }, context);
}

/** How its adapters are read: LoRA's A and B, and values with their places (I32). */
export function sltrainFormat(info: MethodInfo<typeof SltrainOptions>): PeftFormat<Static<typeof SltrainOptions>> {
  const { prepared, inspect } = sparseFormat(PEFT_TYPE, info);
  const options: PeftFormat<Static<typeof SltrainOptions>>['options'] = (config, source) =>
    optionsOfOurs(config, source, { schema: info.options, type: info.type, title: l10n.t(info.title) }, [LAYOUT]);
  return {
    type: PEFT_TYPE,
    options,
    saysHowMany: true,
    ...(prepared === undefined ? {} : { prepared }),
    async inspect(adapter) {
      const problems: Problem[] = [];
      const read = readOptions(options, adapter, problems);
      // Each part by itself: the config of a LoRA says all that its part needs.
      const config = { peft_type: 'LORA', r: read?.r ?? 0, lora_alpha: read?.lora_alpha ?? 0 };
      const low = await inspectLora({
        ...part(adapter, true),
        config: read === undefined ? adapter.config : config,
      });
      const others = Object.fromEntries(Object.entries(adapter.config).filter(([key]) => key !== LAYOUT));
      const sparse = await inspect({ ...part(adapter, false), config: others });
      const modules: InspectedModule[] = [];
      for (const module of low.modules) modules.push(await withSparse(module, adapter));
      const told = [...problems, ...low.problems, ...sparse.problems];
      return {
        ...sparse,
        r: read?.r,
        alpha: read?.lora_alpha,
        modules,
        problems: told.filter((each, at) => told.findIndex(({ message }) => message === each.message) === at),
      };
    },
  };
}

const PAIR = /\.lora_[AB]\.weight$/;

function part(adapter: AdapterTensors, low: boolean): AdapterTensors {
  const tensors = [...adapter.tensors].filter(([name]) => PAIR.test(name) === low);
  return { ...adapter, tensors: new Map(tensors) };
}

/** ‖ΔW‖ of both parts, where they belong together. The effective rank is that of the low-rank part. */
async function withSparse(module: InspectedModule, adapter: AdapterTensors): Promise<InspectedModule> {
  const { path, rank: r, scale, a, b = [] } = module;
  const [values, indices] = ['values', 'indices'].map((name) => `${path}.weight.${name}`);
  const own = [values, indices].map((name) => adapter.tensors.get(name!));
  const sound = own.every((each) => each !== undefined) && own[0]?.shape.join() === own[1]?.shape.join();
  if (scale === undefined || module.norm === undefined || !sound || own[1]?.dtype !== 'I32') return module;
  const prefix = [...adapter.tensors.keys()].find((name) => name.endsWith(`${path}.lora_A.weight`))!;
  const places = await adapter.readIndices(indices!);
  if (places.some((place) => place < 0 || place >= a[1]! * b[0]!)) return module;
  const pair = {
    r,
    scale,
    a: await adapter.read(prefix),
    b: await adapter.read(prefix.replace('lora_A', 'lora_B')),
  };
  const swapped = adapter.config[LAYOUT] === true;
  return { ...module, norm: sparsePairNorm(pair, await adapter.read(values!), places, swapped) };
}
