import { KindGuard } from '@sinclair/typebox';
import type { TSchema } from '@sinclair/typebox';
import { RunFile } from '../config/schema.js';
import { METHODS } from '../methods/registry.js';
import type { ConfigPath } from '../config/tree.js';

/**
 * The schema of the value at a path; of a method's option (`['method', 0, 'r']`) that of the method named by
 * `type`, or of the first method that has such an option. Undefined where nothing may stand.
 */
export function schemaAt(path: ConfigPath, type?: string): TSchema | undefined {
  const [first, ...rest] = path;
  if (first === 'method' && rest.length > 1) {
    const [, option, ...below] = rest;
    const methods = METHODS.filter(({ options }) => Object.hasOwn(options.properties, String(option)));
    const method = methods.find((each) => each.type === type) ?? methods[0];
    const schemas: Readonly<Record<string, TSchema>> = method?.options.properties ?? {};
    return below.reduce<TSchema | undefined>(under, schemas[String(option)]);
  }
  return path.reduce<TSchema | undefined>(under, RunFile);
}

function under(schema: TSchema | undefined, step: string | number): TSchema | undefined {
  if (schema === undefined) return undefined;
  if (KindGuard.IsUnion(schema)) {
    return schema.anyOf.map((member) => under(member, step)).find((found) => found !== undefined);
  }
  if (KindGuard.IsArray(schema)) return typeof step === 'number' ? schema.items : undefined;
  if (KindGuard.IsObject(schema)) {
    const properties: Readonly<Record<string, TSchema>> = schema.properties;
    return Object.hasOwn(properties, step) ? properties[step] : undefined;
  }
  if (KindGuard.IsRecord(schema)) return Object.values(schema.patternProperties)[0];
  return undefined;
}
