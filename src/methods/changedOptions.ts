import type { TSchema } from '@sinclair/typebox';

/**
 * The options among `properties` that are not at their defaults, where those stand that a run file leaves out. One that
 * has none is changed where it is given.
 */
export function changedOptions(options: object, properties: Readonly<Record<string, TSchema>>): readonly string[] {
  const found = new Map<string, unknown>(Object.entries(options));
  return Object.keys(properties).filter(
    (name) => JSON.stringify(found.get(name)) !== JSON.stringify(properties[name]!.default),
  );
}
