import type { Trainable } from '../../src/methods/method.js';

/** The numbers from which trainables start. */
export async function startValues(trainables: readonly Trainable[]): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const { variable, start } of trainables) values.set(variable.name, await start());
  return values;
}
