import { Value } from '@sinclair/typebox/value';
import { attachMethods } from '../../src/engines/session.js';
import { LearnedMaskOptions } from '../../src/methods/learnedMask.js';
import type { AttachContext, Attached } from '../../src/methods/method.js';

export function maskOptions(options: Partial<LearnedMaskOptions> = {}): LearnedMaskOptions {
  return Value.Parse(LearnedMaskOptions, { type: 'learned_mask', ...options });
}

/** Masks of two kinds of matrices in one layer: few enough for a fixture. */
export function maskOnLlama(context: AttachContext): Attached {
  const options = maskOptions({
    target_modules: ['q_proj', 'down_proj'],
    layers_to_transform: [1],
    initial_sparsity: 0.2,
  });
  return attachMethods([options], context)[0]!;
}
