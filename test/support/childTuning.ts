import { Value } from '@sinclair/typebox/value';
import { attachMethods } from '../../src/engines/session.js';
import { ChildTuningOptions } from '../../src/methods/childTuning.js';
import type { AttachContext, Attached, Prepared } from '../../src/methods/method.js';

export function childOptions(options: Partial<ChildTuningOptions>): ChildTuningOptions {
  return Value.Parse(ChildTuningOptions, { type: 'child_tuning', ...options });
}

/** Child-Tuning over every weight of a model. */
export function childOverFull(
  options: Partial<ChildTuningOptions>,
  context: AttachContext,
  prepared?: Prepared,
): { readonly full: Attached; readonly child: Attached; readonly methods: readonly Attached[] } {
  const methods = attachMethods([{ type: 'full' }, childOptions(options)], context, [undefined, prepared]);
  const [full, child] = methods;
  return { full: full!, child: child!, methods };
}
