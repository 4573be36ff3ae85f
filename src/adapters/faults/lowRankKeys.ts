import { PEFT_PREFIX } from '../../methods/loraParameters.js';
import type { About, Form } from './fault.js';

/** A low-rank pair in a form, by the names of its tensors. */
export interface FormPair {
  /** Of its module. */
  readonly path: string;
  readonly a: string;
  readonly b: string;
  readonly isEmbedding: boolean;
}

const LOW_RANK = /^(?:base_model\.model\.)?(.+)\.lora_(embedding_)?([AB])(?:\.weight)?$/;

/** The modules that have A and B, both matrices, in the order of the file. */
export function pairsIn({ tensors }: Form): FormPair[] {
  const halves = new Map<string, { A?: string; B?: string; isEmbedding: boolean }>();
  for (const [key, { shape }] of tensors) {
    const [, path, embedding, half] = LOW_RANK.exec(key) ?? [];
    if (path === undefined || shape.length !== 2) continue;
    const isEmbedding = embedding !== undefined;
    halves.set(path, { ...halves.get(path), isEmbedding, [half === 'A' ? 'A' : 'B']: key });
  }
  return [...halves].flatMap(([path, { A: a, B: b, isEmbedding }]) =>
    a === undefined || b === undefined ? [] : [{ path, a, b, isEmbedding }],
  );
}

/** The modules that have A or B, in the order of the file. */
export function modulesIn({ tensors }: Form): readonly string[] {
  return [...new Set([...tensors.keys()].flatMap((key) => LOW_RANK.exec(key)?.[1] ?? []))];
}

/** Whether the base has a module, as far as it is known. */
export function isInBase(path: string, { model }: About): boolean {
  return model === undefined || model.sites.some((site) => site.path === path);
}

/** Whether an adapter is of PEFT's LoRA, whatever method of ours trained it. */
export function isLora({ config }: Form): boolean {
  // MoRA's config is a LoRA's that says so, and its matrices are no pairs.
  return config['peft_type'] === 'LORA' && config['use_mora'] !== true;
}

/** The module of a parameter that trained whole, and which: `base_model.model.lm_head.weight`. */
export function wholeParameter(
  key: string,
): { readonly path: string; readonly kind: 'weight' | 'bias' } | undefined {
  const [, path, kind] = /^(.+)\.(weight|bias)$/.exec(key.replace(PEFT_PREFIX, '')) ?? [];
  if (path === undefined || /\.(?:lora_\w+|base_layer|original_module|modules_to_save)(?:\.|$)/.test(`.${path}`))
    return undefined;
  return { path, kind: kind === 'bias' ? 'bias' : 'weight' };
}

/** At most so many lines of a difference. */
const MAX_LINES = 200;

/** Lines of a difference, with how many more there are. */
export function lines(all: readonly string[]): readonly string[] {
  return all.length > MAX_LINES ? [...all.slice(0, MAX_LINES), `… +${all.length - MAX_LINES}`] : all;
}

/** Some of many names. */
export function some(names: readonly string[]): string {
  return `${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}`;
}
