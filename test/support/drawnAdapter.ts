import path from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import type { AdapterOnDisk } from '../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../src/adapters/writeAdapter.js';
import { random } from '../../src/common/random.js';
import { METHODS, attachMethod } from '../../src/methods/registry.js';
import type { MethodConfig } from '../../src/methods/registry.js';
import { tokenizer } from './adapters.js';
import type { Opened } from './model.js';

/** An adapter of any method on disk, whose trainables have moved at random from where they start. */
export async function drawnAdapter(
  folder: string,
  seed: number,
  options: { readonly type: MethodConfig['type'] } & Readonly<Record<string, unknown>>,
  { context }: Opened,
): Promise<AdapterOnDisk> {
  const rng = random(seed, 'drawn adapter');
  const { options: schema } = METHODS.find(({ type }) => type === options.type)!;
  const config: MethodConfig = Value.Parse(schema, options);
  const method = attachMethod(config, { ...context, random: (...stream) => random(seed, ...stream) });
  const values = new Map<string, Float32Array>();
  for (const { variable, start } of method.trainables) {
    values.set(
      variable.name,
      (await start()).map((each) => each + 0.3 * rng.normal()),
    );
  }
  for (const { variable, start } of method.state ?? []) {
    const size = variable.shape.reduce<number>((product, length) => product * Number(length), 1);
    values.set(variable.name, start?.() ?? new Float32Array(size));
  }
  const saved = method.save(values);
  if (saved.kind !== 'adapter') throw new Error(`${options.type} saves no adapter`);
  await writeAdapter(folder, saved, { tokenizer, card: '' });
  return readAdapter(path.resolve(folder));
}

/** Options of a LoRA: ranks, scales, targets, biases and modules that train whole, at random. */
export function drawnLoraOptions(seed: number, { model }: Opened): { type: 'lora' } & Record<string, unknown> {
  const rng = random(seed, 'lora options');
  const matrices = model.sites.filter(({ kind, weight }) => kind !== 'norm' && weight !== undefined);
  const names = [...new Set(matrices.map(({ path: at }) => at.split('.').at(-1)!))];
  // One that it may train whole; another adapter may adapt it.
  const [spared] = names.splice(rng.integer(names.length), 1) as [string];
  const targets = names.filter(() => rng.uniform() < 0.5);
  if (targets.length === 0) targets.push(names[0]!);
  const norms = model.sites.filter(({ kind }) => kind === 'norm').map(({ path: at }) => at.split('.').at(-1)!);
  const whole = [spared, ...new Set(norms)].filter(() => rng.uniform() < 0.3);
  const [first, last] = [targets[0]!, targets.at(-1)!];
  return {
    type: 'lora',
    r: 1 + rng.integer(6),
    lora_alpha: 1 + rng.integer(20),
    use_rslora: rng.uniform() < 0.5,
    target_modules: targets,
    rank_pattern: rng.uniform() < 0.5 ? { [first]: 1 + rng.integer(9) } : {},
    alpha_pattern: rng.uniform() < 0.5 ? { [last]: 3 } : {},
    bias: (['none', 'all', 'lora_only'] as const)[rng.integer(3)]!,
    ...(whole.length === 0 ? {} : { modules_to_save: whole }),
  };
}
