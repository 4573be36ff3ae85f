import * as l10n from '@vscode/l10n';
import { isDeepStrictEqual } from 'node:util';
import type { TObject, TSchema } from '@sinclair/typebox';
import { nearestName } from '../common/nearest.js';
import { isError } from '../common/problem.js';
import type { Place, Problem } from '../common/problem.js';
import { asValue } from './asValue.js';
import { choiceWords, describeSchema, describeShape, listWords, shapeOf } from './shape.js';
import type { Range, Shape } from './shape.js';
import { describeNode, entryOf, pathText, plainValue, shorten } from './tree.js';
import type { ConfigNode, ConfigPath, Entry, MapNode, ScalarNode } from './tree.js';
import { foreignKey, methodWithin, usualName, usualValue } from './unknownKeys.js';

/** Where in the file a check is, and where it puts what it finds. */
export interface Checking {
  readonly path: ConfigPath;
  /** `training`, `method.lora`, …: which tables of foreign keys apply; '' at the top. */
  readonly section: string;
  /** Where a missing key is reported: the key that should hold it. */
  readonly holder: Place;
  /** The schema of the whole file, to tell where a misplaced key belongs. */
  readonly top: TObject;
  readonly problems: Problem[];
}

/** Checks a value against a schema and fills in defaults. Undefined when there are problems, which are added. */
function checkValue(schema: TSchema, node: ConfigNode, at: Checking): unknown {
  return checkShape(shapeOf(schema), node, at);
}

/**
 * Checks each property of a mapping. `values` holds those that are right, defaults filled in; `complete` tells
 * whether that is all of them and nothing else was there.
 */
export function checkProperties(
  schema: TObject,
  node: MapNode,
  at: Checking,
): { values: Record<string, unknown>; complete: boolean } {
  const known = Object.keys(schema.properties);
  const required = new Set(schema.required);
  let complete = true;
  for (const entry of node.entries) {
    if (Object.hasOwn(schema.properties, entry.key)) continue;
    const problem = unknownKey(entry, node, known, { ...at, holder: entry.keyAt });
    at.problems.push(problem);
    if (isError(problem)) complete = false;
  }
  const values: Record<string, unknown> = {};
  for (const [key, property] of Object.entries(schema.properties)) {
    const entry = entryOf(node, key);
    const below = { ...at, path: [...at.path, key], section: at.section ? `${at.section}.${key}` : key };
    if (entry) {
      const value = checkValue(property, entry.value, { ...below, holder: entry.keyAt });
      if (value === undefined) complete = false;
      else values[key] = value;
    } else if (property.default !== undefined) {
      values[key] = defaultValue(property, below);
    } else if (required.has(key)) {
      at.problems.push(missingKey(key, property, at));
      complete = false;
    }
  }
  return { values, complete };
}

/** A mapping's default is that of its properties, so that no default is written twice. */
function defaultValue(schema: TSchema, at: Checking): unknown {
  const shape = shapeOf(schema);
  if (shape.kind !== 'object') return structuredClone(schema.default);
  return checkShape(shape, { kind: 'map', at: at.holder, entries: [] }, at);
}

function checkShape(shape: Shape, node: ConfigNode, at: Checking): unknown {
  switch (shape.kind) {
    case 'object': {
      if (node.kind !== 'map') return wrongType(shape, node, at);
      const { values, complete } = checkProperties(shape.schema, node, at);
      return complete ? values : undefined;
    }
    case 'variants':
      return checkVariant(shape, node, at);
    case 'record': {
      if (node.kind !== 'map') return wrongType(shape, node, at);
      const values = node.entries.map(({ key, keyAt, value }) => [
        key,
        checkValue(shape.values, value, { ...at, path: [...at.path, key], holder: keyAt }),
      ]);
      return values.some(([, value]) => value === undefined) ? undefined : Object.fromEntries(values);
    }
    case 'list': {
      if (node.kind !== 'list') return wrongType(shape, node, at);
      if (node.items.length < shape.minimum) {
        at.problems.push({
          code: 'config.empty-list',
          message: l10n.t`\`${pathText(at.path)}\` is an empty list`,
          where: node.at,
          expected:
            shape.minimum === 1
              ? l10n.t`at least 1 entry, each ${describeSchema(shape.items)}`
              : l10n.t`at least ${shape.minimum} entries, each ${describeSchema(shape.items)}`,
        });
        return undefined;
      }
      const values = node.items.map((item, i) =>
        checkValue(shape.items, item, { ...at, path: [...at.path, i], holder: item.at }),
      );
      return values.includes(undefined) ? undefined : values;
    }
    case 'union': {
      const members = shape.members.filter((member) => takes(member, node));
      const [only] = members;
      // A scalar is answered with everything the union allows; inside a list or mapping the error is more exact.
      if (!only || node.kind === 'scalar') {
        const fitting = members.find((member) => node.kind === 'scalar' && fits(member, node));
        return fitting ? checkShape(fitting, node, at) : wrongType(shape, node, at);
      }
      return checkShape(only, node, at);
    }
    case 'text':
    case 'numbered':
    case 'number':
    case 'boolean':
    case 'choice': {
      if (node.kind === 'scalar' && fits(shape, node)) return node.value;
      return wrongType(shape, node, at);
    }
  }
}

function checkVariant(shape: Shape & { kind: 'variants' }, node: ConfigNode, at: Checking): unknown {
  const names = [...shape.variants.keys()];
  if (node.kind !== 'map') return wrongType(shape, node, at);
  const entry = entryOf(node, shape.key);
  const label = pathText([...at.path, shape.key]);
  if (!entry) {
    const usual = node.entries.find(({ key }) => usualName(at.section, key) === shape.key);
    at.problems.push({
      code: 'config.missing-key',
      message: l10n.t`\`${label}\` is missing`,
      where: usual?.keyAt ?? at.holder,
      expected: choiceWords(names),
      mend: usual ? l10n.t`Write \`${shape.key}\` instead of \`${usual.key}\`.` : undefined,
    });
    return undefined;
  }
  const name = entry.value.kind === 'scalar' ? entry.value.value : undefined;
  const variant = typeof name === 'string' ? shape.variants.get(name) : undefined;
  if (variant)
    return checkShape({ kind: 'object', schema: variant }, node, {
      ...at,
      section: `${at.section}.${String(name)}`,
    });
  return wrongType({ kind: 'choice', values: names }, entry.value, { ...at, path: [...at.path, shape.key] });
}

/** Whether a value is of the kind that a shape takes, whatever its limits say. */
function takes(shape: Shape, node: ConfigNode): boolean {
  if (node.kind === 'map') return shape.kind === 'object' || shape.kind === 'variants' || shape.kind === 'record';
  if (node.kind === 'list') return shape.kind === 'list';
  if (shape.kind === 'choice') return shape.values.some((value) => typeof value === typeof node.value);
  return typeof node.value === scalarType(shape);
}

function scalarType(shape: Shape): string | undefined {
  if (shape.kind === 'text' || shape.kind === 'numbered') return 'string';
  return shape.kind === 'number' || shape.kind === 'boolean' ? shape.kind : undefined;
}

/** Whether a scalar is a right value. */
function fits(shape: Shape, { value }: ScalarNode): boolean {
  switch (shape.kind) {
    case 'choice':
      return shape.values.some((known) => known === value);
    case 'text':
      return typeof value === 'string' && value.length >= shape.minimum;
    case 'numbered':
      return typeof value === 'string' && new RegExp(shape.pattern).test(value);
    case 'number':
      if (typeof value !== 'number' || !Number.isFinite(value)) return false;
      return (!shape.whole || Number.isSafeInteger(value)) && withinRange(value, shape.range);
    case 'boolean':
      return typeof value === 'boolean';
    default:
      return false;
  }
}

function withinRange(value: number, { minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Range): boolean {
  return (
    (minimum === undefined || value >= minimum) &&
    (maximum === undefined || value <= maximum) &&
    (exclusiveMinimum === undefined || value > exclusiveMinimum) &&
    (exclusiveMaximum === undefined || value < exclusiveMaximum)
  );
}

/** Reports a value that does not fit; always undefined, so that callers can return it. */
function wrongType(shape: Shape, node: ConfigNode, at: Checking): undefined {
  at.problems.push({
    code: wrongCode(shape, node),
    message: l10n.t`\`${pathText(at.path)}\` is ${describeNode(node)}`,
    where: node.at,
    expected: describeShape(shape),
    ...hint(shape, node, at.section),
  });
  return undefined;
}

function wrongCode(shape: Shape, node: ConfigNode): string {
  const members = shape.kind === 'union' ? shape.members : [shape];
  const sameKind = members.filter((member) => takes(member, node));
  if (sameKind.some((member) => member.kind === 'choice')) return 'config.unknown-value';
  return sameKind.length > 0 ? 'config.out-of-range' : 'config.wrong-type';
}

/** What a well-meant value was probably meant to be, and what to write for it. */
function hint(shape: Shape, node: ConfigNode, option: string): Pick<Problem, 'mend' | 'replacement'> {
  if (node.kind !== 'scalar') return {};
  const members = shape.kind === 'union' ? shape.members : [shape];
  const wants = (kind: Shape['kind']): boolean => members.some((member) => member.kind === kind);
  const { at, value, source, quoted } = node;
  if (value === null || value === 'None') return { mend: l10n.t`Give it a value, or leave the key out.` };
  if (typeof value !== 'string') {
    if (!wants('text') || typeof value !== 'number') return {};
    const text = asValue(source, at.file);
    return { mend: l10n.t`Put it in quotes if it is text: ${text}.`, replacement: text };
  }
  const choices = members.flatMap((member) => (member.kind === 'choice' ? member.values : []));
  const words = choices.map(String);
  const within = option === 'method' ? methodWithin(value) : undefined;
  if (within !== undefined) return { mend: within };
  const near =
    words.find((word) => word === value.toLowerCase()) ??
    usualValue(option, value.toLowerCase()) ??
    nearestName(value, words);
  if (near !== undefined) {
    const isText = choices.every((choice) => typeof choice === 'string' || String(choice) !== near);
    return { mend: l10n.t`Did you mean \`${near}\`?`, replacement: isText ? asValue(near, at.file) : near };
  }
  const lower = value.toLowerCase();
  if (wants('boolean')) {
    if (quoted && (lower === 'true' || lower === 'false'))
      return { mend: l10n.t`Remove the quotes.`, replacement: lower };
    const meant = YES.includes(lower) ? 'true' : NO.includes(lower) ? 'false' : undefined;
    if (meant !== undefined) {
      return {
        mend: l10n.t`YAML 1.2 reads \`${shorten(value)}\` as text: write \`${meant}\`.`,
        replacement: meant,
      };
    }
  }
  if (wants('number')) {
    const plain = value.replace(/[_,\s]/g, '');
    if (plain !== '' && Number.isFinite(Number(plain))) {
      const mend =
        quoted && plain === value
          ? l10n.t`Remove the quotes: ${plain}.`
          : l10n.t`Write the number plainly: ${plain}.`;
      return { mend, replacement: plain };
    }
  }
  if (wants('list')) return { mend: l10n.t`Write a list: \`[first, second]\`.` };
  return {};
}

/** What other versions of YAML read as true and false. */
const YES = ['yes', 'on', 'y'];
const NO = ['no', 'off', 'n'];

function unknownKey({ key, value }: Entry, node: MapNode, known: readonly string[], at: Checking): Problem {
  const name = pathText([...at.path, shorten(key)]);
  const foreign = foreignKey(at.section, key);
  if (foreign) {
    const off = foreign.off.some((harmless) => isDeepStrictEqual(harmless, plainValue(value)));
    return {
      code: off ? 'config.ignored-key' : 'config.unsupported-key',
      severity: off ? 'warning' : 'error',
      message: off
        ? l10n.t`\`${name}\` is ignored: ${foreign.why}`
        : l10n.t`\`${name}\` cannot be used: ${foreign.why}`,
      where: at.holder,
      mend: off ? l10n.t`Remove the key.` : foreign.mend,
    };
  }
  const meant = usualName(at.section, key) ?? nearestName(key, known);
  const isThere = meant !== undefined && entryOf(node, meant) !== undefined;
  const home = meant === undefined ? homeOf(key, at) : undefined;
  return {
    code: 'config.unknown-key',
    message: l10n.t`the key \`${name}\` is unknown`,
    where: at.holder,
    expected: l10n.t`one of ${listWords(known)}`,
    mend:
      meant !== undefined
        ? isThere
          ? l10n.t`Did you mean \`${meant}\`? It is there already: remove one of them.`
          : l10n.t`Did you mean \`${meant}\`?`
        : home !== undefined
          ? l10n.t`\`${shorten(key)}\` belongs ${home}.`
          : undefined,
    ...(meant === undefined || isThere ? {} : { replacement: asValue(meant, at.holder.file) }),
  };
}

/** Where the key belongs, when another section has it. */
function homeOf(key: string, { top, section }: Checking): string | undefined {
  if (section !== '' && Object.hasOwn(top.properties, key)) return l10n.t`at the top of the file`;
  const home = Object.entries(top.properties).find(
    ([name, schema]) => name !== section.split('.')[0] && sectionKeys(schema).has(key),
  );
  return home && l10n.t`under \`${home[0]}\``;
}

function sectionKeys(schema: TSchema): ReadonlySet<string> {
  const shape = shapeOf(schema);
  const shapes = shape.kind === 'union' ? shape.members : [shape];
  return new Set(
    shapes.flatMap((member) => {
      if (member.kind === 'object') return Object.keys(member.schema.properties);
      return member.kind === 'variants'
        ? [...member.variants.values()].flatMap((v) => Object.keys(v.properties))
        : [];
    }),
  );
}

function missingKey(key: string, schema: TSchema, at: Checking): Problem {
  const mend = l10n.t`Add the key \`${key}\`.`;
  return {
    code: 'config.missing-key',
    message: l10n.t`\`${pathText([...at.path, key])}\` is missing`,
    where: at.holder,
    expected: describeSchema(schema),
    mend: schema.description === undefined ? mend : `${mend} ${l10n.t(schema.description)}`,
  };
}
