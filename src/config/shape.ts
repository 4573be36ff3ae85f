import * as l10n from '@vscode/l10n';
import { KindGuard } from '@sinclair/typebox';
import type { TObject, TSchema } from '@sinclair/typebox';

/** What a schema says about a value, as far as run files use schemas. */
export type Shape =
  | { readonly kind: 'object'; readonly schema: TObject }
  | { readonly kind: 'record'; readonly values: TSchema }
  | { readonly kind: 'list'; readonly items: TSchema; readonly minimum: number }
  | { readonly kind: 'choice'; readonly values: readonly (string | number | boolean)[] }
  /** Objects told apart by one literal property: `type: lora`, `type: full`. */
  | { readonly kind: 'variants'; readonly key: string; readonly variants: ReadonlyMap<string, TObject> }
  | { readonly kind: 'union'; readonly members: readonly Shape[] }
  | { readonly kind: 'text'; readonly minimum: number }
  /** Text with a whole number in it: `pissa_niter_16`. */
  | { readonly kind: 'numbered'; readonly pattern: string }
  | { readonly kind: 'number'; readonly whole: boolean; readonly range: Range }
  | { readonly kind: 'boolean' };

export interface Range {
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

/** The shape of a TypeBox schema. Throws on kinds that run files do not use: a fault of the schema, not of a file. */
export function shapeOf(schema: TSchema): Shape {
  if (KindGuard.IsObject(schema)) return { kind: 'object', schema };
  if (KindGuard.IsRecord(schema)) {
    const [values] = Object.values(schema.patternProperties);
    if (values) return { kind: 'record', values };
  }
  if (KindGuard.IsArray(schema)) return { kind: 'list', items: schema.items, minimum: schema.minItems ?? 0 };
  if (KindGuard.IsLiteral(schema)) return { kind: 'choice', values: [schema.const] };
  if (KindGuard.IsUnion(schema)) return unionShape(schema.anyOf);
  if (KindGuard.IsString(schema)) return { kind: 'text', minimum: schema.minLength ?? 0 };
  if (KindGuard.IsTemplateLiteral(schema)) return { kind: 'numbered', pattern: schema.pattern };
  if (KindGuard.IsNumber(schema)) return { kind: 'number', whole: false, range: rangeOf(schema) };
  if (KindGuard.IsInteger(schema)) return { kind: 'number', whole: true, range: rangeOf(schema) };
  if (KindGuard.IsBoolean(schema)) return { kind: 'boolean' };
  throw new Error(`Run files have no schemas of this kind: ${JSON.stringify(schema)}`);
}

function unionShape(schemas: readonly TSchema[]): Shape {
  const members = schemas.map(shapeOf).flatMap((shape) => (shape.kind === 'union' ? shape.members : [shape]));
  const objects = members.flatMap((shape) => (shape.kind === 'object' ? [shape.schema] : []));
  const choices = members.flatMap((shape) => (shape.kind === 'choice' ? shape.values : []));
  const rest = members.filter((shape) => shape.kind !== 'object' && shape.kind !== 'choice');
  const grouped: Shape[] = [
    ...(objects.length > 0 ? [objectsShape(objects)] : []),
    ...rest,
    ...(choices.length > 0 ? [{ kind: 'choice' as const, values: choices }] : []),
  ];
  const [only] = grouped;
  return grouped.length === 1 && only ? only : { kind: 'union', members: grouped };
}

/** Even one object is a variant when it carries a literal, so that an unknown `type` is told as such. */
function objectsShape(objects: readonly TObject[]): Shape {
  const [first] = objects;
  for (const key of Object.keys(first?.properties ?? {})) {
    const names = objects.map((object) => literalText(object.properties[key]));
    const variants = new Map(objects.flatMap((object, i) => (names[i] === undefined ? [] : [[names[i], object]])));
    if (variants.size === objects.length) return { kind: 'variants', key, variants };
  }
  throw new Error('Objects in a union need a literal property that tells them apart.');
}

function literalText(schema: TSchema | undefined): string | undefined {
  return KindGuard.IsLiteral(schema) && typeof schema.const === 'string' ? schema.const : undefined;
}

function rangeOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Range): Range {
  return { minimum, maximum, exclusiveMinimum, exclusiveMaximum };
}

/** What a schema asks for, in plain words: "a whole number from 1 to 4096". */
export function describeSchema(schema: TSchema): string {
  return describeShape(shapeOf(schema));
}

/** {@link describeSchema} of a shape that is read already. */
export function describeShape(shape: Shape): string {
  switch (shape.kind) {
    case 'object':
      return l10n.t`a mapping with the keys ${listWords(Object.keys(shape.schema.properties))}`;
    case 'record':
      return l10n.t`a mapping from names, each to ${describeSchema(shape.values)}`;
    case 'list':
      return shape.minimum > 0
        ? l10n.t`a list, each entry ${describeSchema(shape.items)}`
        : l10n.t`a list (it may be empty), each entry ${describeSchema(shape.items)}`;
    case 'choice':
      return choiceWords(shape.values);
    case 'variants':
      return l10n.t`a mapping with \`${shape.key}\`: ${choiceWords([...shape.variants.keys()])}`;
    case 'union':
      return shape.members.map(describeShape).join(l10n.t`; or `);
    case 'text':
      return shape.minimum > 0 ? l10n.t`text that is not empty` : l10n.t`text`;
    case 'numbered':
      return l10n.t`\`${shape.pattern.replace(/^\^|\(.*\)|\$$/g, (part) => (part.length > 1 ? 'N' : ''))}\` with a whole number for N`;
    case 'number':
      return numberWords(shape.whole, rangeWords(shape.range));
    case 'boolean':
      return l10n.t`\`true\` or \`false\``;
  }
}

/** "one of `a`, `b`"; a single choice stands alone. */
export function choiceWords(values: readonly (string | number | boolean)[]): string {
  return values.length === 1 ? `\`${values[0]}\`` : l10n.t`one of ${listWords(values)}`;
}

/** "`a`, `b`". */
export function listWords(values: readonly (string | number | boolean)[]): string {
  return values.map((value) => `\`${value}\``).join(', ');
}

function numberWords(whole: boolean, range: string | undefined): string {
  if (range === undefined) return whole ? l10n.t`a whole number` : l10n.t`a number`;
  return whole ? l10n.t`a whole number ${range}` : l10n.t`a number ${range}`;
}

/** "from 1 to 4096", "above 0", "from 0 to below 1"; undefined: any. */
function rangeWords({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Range): string | undefined {
  if (exclusiveMinimum !== undefined) {
    if (exclusiveMaximum !== undefined) return l10n.t`above ${exclusiveMinimum} and below ${exclusiveMaximum}`;
    if (maximum !== undefined) return l10n.t`above ${exclusiveMinimum} and up to ${maximum}`;
    return l10n.t`above ${exclusiveMinimum}`;
  }
  if (minimum !== undefined) {
    if (exclusiveMaximum !== undefined) return l10n.t`from ${minimum} to below ${exclusiveMaximum}`;
    if (maximum !== undefined) return l10n.t`from ${minimum} to ${maximum}`;
    return l10n.t`from ${minimum} up`;
  }
  if (exclusiveMaximum !== undefined) return l10n.t`below ${exclusiveMaximum}`;
  return maximum === undefined ? undefined : l10n.t`up to ${maximum}`;
}
