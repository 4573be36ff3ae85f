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

/** The options that may stand below a path, by key: of a method those of its `type`; empty where no mapping may be. */
export function optionsAt(path: ConfigPath, type?: string): Readonly<Record<string, TSchema>> {
  if (path[0] === 'method' && path.length === 2) {
    const method = METHODS.find((each) => each.type === type);
    // Which options there are is known when the type is.
    return method?.options.properties ?? { type: METHODS[0]!.options.properties.type };
  }
  const schema = path.length === 0 ? RunFile : schemaAt(path, type);
  const members = schema !== undefined && KindGuard.IsUnion(schema) ? schema.anyOf : [schema];
  return members.find((member) => member !== undefined && KindGuard.IsObject(member))?.['properties'] ?? {};
}

/** Whether a path is that of a method's `type`. */
export function isMethodType(path: ConfigPath): boolean {
  return path.length === 3 && path[0] === 'method' && path[2] === 'type';
}

/** An option as advice names it: `training.seed`, `lora.r`. */
export function optionName(path: ConfigPath, type: string): string {
  const [first, , ...option] = path;
  return (first === 'method' && path.length > 2 ? [type, ...option] : path).join('.');
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
