import type { FoundAdapter } from '../../adapters/findAdapters.js';

/** What an adapter can become. */
export type Conversion =
  /** A LoRA on the original base, of one that was trained on what its start left of it. */
  | 'original-base'
  /** A LoRA of the same factors. */
  | 'exact'
  /** The first components of a LoRA. */
  | 'cut'
  /** The nearest LoRA of a rank, or of as many singular values as have a share of the change. */
  | 'rank'
  | 'energy'
  | 'gguf'
  | 'delta';

/** Methods whose updates are products of a low rank, in another form than LoRA's: see `exactFactors`. */
export const EXACT_METHODS: readonly string[] = ['adalora', 'lotr', 'melora'];

/** What an adapter that can be merged can become, as far as its config tells, the likeliest first. */
export function conversionsOf({ method = '', rank = 0, start, dora }: FoundAdapter): readonly Conversion[] {
  // What quantization left is no start that can be taken off again.
  if (start !== undefined) return start === 'loftq' ? [] : ['original-base'];
  if (method === 'bitfit') return ['delta'];
  if (method === 'lora') {
    const lower = rank > 1 ? (['rank', 'energy', 'cut'] as const) : [];
    // A GGUF adapter has no place for magnitudes.
    return [...lower, ...(dora === undefined ? (['gguf'] as const) : []), 'delta'];
  }
  return [...(EXACT_METHODS.includes(method) ? (['exact'] as const) : []), 'rank', 'energy', 'delta'];
}

/** Starts that the base's weights alone determine: they are found again without the initial adapter. */
export function isFoundAgain(start: string | undefined): boolean {
  return start === 'pissa' || start === 'olora';
}
