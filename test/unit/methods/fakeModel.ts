import { Value } from '@sinclair/typebox/value';
import { random } from '../../../src/common/random.js';
import { LoraOptions, lora } from '../../../src/methods/lora.js';
import type { AttachContext, Attached, Values } from '../../../src/methods/method.js';
import type { Site } from '../../../src/models/site.js';
import { fixedSize } from '../../../src/tensor/dims.js';

const notBuilt = (): never => {
  throw new Error('this model is never run');
};

/** Enough of a model to attach a method to: it is never run. Weights hold 1, 2, 3, … */
export function fakeContext(all: readonly Site[], { tiedHead = false, seed = 1 } = {}): AttachContext {
  const shared = all.find(({ kind }) => kind === 'embedding')?.weight;
  const sites = tiedHead ? all.map((each) => (each.isOutput ? { ...each, weight: shared } : each)) : all;
  const sizes = new Map(
    sites.flatMap((site): [string, number][] => [
      [site.weight!, site.shape.reduce((a, b) => a * b)],
      ...(site.bias === undefined ? [] : [[site.bias, site.shape[0]!] as [string, number]]),
    ]),
  );
  return {
    model: {
      kind: 'decoder',
      task: 'CAUSAL_LM',
      modelType: 'fake',
      vocabSize: 16,
      hiddenSize: 8,
      layers: new Set(sites.flatMap(({ layer }) => layer ?? [])).size,
      maxPositions: 64,
      cacheHeads: 1,
      headSize: 8,
      tiedHead,
      sites,
      attentions: [],
      sublayers: [],
      decode: notBuilt,
      head: notBuilt,
    },
    modelName: 'fake',
    read: (name) => Promise.resolve(Float32Array.from({ length: sizes.get(name)! }, (_, at) => at + 1)),
    random: (...stream) => random(seed, ...stream),
  };
}

export function site(kind: Site['kind'], path: string, shape: readonly number[], more: Partial<Site> = {}): Site {
  const layer = /layers\.(\d+)\./.exec(path)?.[1];
  return {
    kind,
    path,
    layer: layer === undefined ? undefined : Number(layer),
    shape,
    weight: `${path}.weight`,
    bias: undefined,
    isOutput: path === 'lm_head',
    ...more,
  };
}

/** Two layers of two linears (q with a bias), a norm with a bias, embedding and head. */
export function smallSites(): Site[] {
  return [
    site('embedding', 'model.embed_tokens', [16, 8]),
    ...[0, 1].flatMap((layer) => [
      site('norm', `model.layers.${layer}.norm`, [8], { bias: `model.layers.${layer}.norm.bias` }),
      site('linear', `model.layers.${layer}.q_proj`, [6, 8], { bias: `model.layers.${layer}.q_proj.bias` }),
      site('linear', `model.layers.${layer}.v_proj`, [4, 8]),
    ]),
    site('linear', 'lm_head', [16, 8]),
  ];
}

export function loraOptions(options: Partial<LoraOptions> = {}): LoraOptions {
  return Value.Parse(LoraOptions, { type: 'lora', ...options });
}

export function attachLora(options: Partial<LoraOptions>, context = fakeContext(smallSites())): Attached {
  return lora.attach(loraOptions(options), context);
}

/** Where the trainables start. */
export async function starts(method: Attached): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const { variable, start } of method.trainables) values.set(variable.name, await start());
  return values;
}

/** Random numbers for every trainable. */
export function randomValues(method: Attached, seed = 1): Values {
  const generator = random(seed, 'values');
  return new Map(
    method.trainables.map(({ variable }) => [
      variable.name,
      Float32Array.from({ length: fixedSize(variable.shape) }, () => generator.normal()),
    ]),
  );
}
