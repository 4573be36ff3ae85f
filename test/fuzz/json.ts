import type { Random } from '../../src/common/random.js';
import { mutateBytes } from './bytes.js';
import { oneIn, pick } from './target.js';

/**
 * JSON as it is written: keys may occur twice and leaves are any text, so that what no JSON value can hold
 * (1e999, NaN, `__proto__`, wrong escapes) can be put anywhere.
 */
export type Tree =
  | { readonly kind: 'object'; readonly entries: readonly (readonly [key: string, value: Tree])[] }
  | { readonly kind: 'list'; readonly items: readonly Tree[] }
  | { readonly kind: 'leaf'; readonly text: string };

/** The tree of a JSON value. */
export function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return { kind: 'list', items: value.map(treeOf) };
  if (typeof value === 'object' && value !== null) {
    return {
      kind: 'object',
      entries: Object.entries(value).map(([key, each]) => [JSON.stringify(key), treeOf(each)]),
    };
  }
  return leaf(JSON.stringify(value));
}

export function treeText(tree: Tree): string {
  if (tree.kind === 'leaf') return tree.text;
  if (tree.kind === 'list') return `[${tree.items.map(treeText).join(',')}]`;
  return `{${tree.entries.map(([key, value]) => `${key}:${treeText(value)}`).join(',')}}`;
}

/** Words of a format, beside those that trouble any reader. */
export interface Dictionary {
  readonly keys: readonly string[];
  /** Written as they are: texts with their quotes. */
  readonly values: readonly string[];
}

/** Changes the JSON text of a file: mostly its tree, sometimes its bytes. What is no JSON is changed as bytes. */
export function mutateJsonBytes(bytes: Uint8Array, rng: Random, words: Dictionary): Uint8Array {
  const tree = oneIn(rng, 6) ? undefined : parsed(bytes);
  if (tree === undefined) return mutateBytes(bytes, rng);
  return Buffer.from(treeText(mutateTree(tree, rng, words)));
}

/** Undefined for what is no JSON, or nested so deep that walking it ends the stack. */
function parsed(bytes: Uint8Array): Tree | undefined {
  try {
    return treeOf(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch {
    return undefined;
  }
}

/** One change somewhere in the tree. */
export function mutateTree(tree: Tree, rng: Random, words: Dictionary): Tree {
  const inner = tree.kind === 'leaf' ? 0 : tree.kind === 'list' ? tree.items.length : tree.entries.length;
  // Deeper places are as likely as this one: most of a header's meaning is in its leaves.
  if (inner > 0 && !oneIn(rng, 3)) {
    const at = rng.integer(inner);
    if (tree.kind === 'list')
      return { ...tree, items: tree.items.with(at, mutateTree(tree.items[at]!, rng, words)) };
    if (tree.kind === 'object') {
      const [key, value] = tree.entries[at]!;
      return { ...tree, entries: tree.entries.with(at, [key, mutateTree(value, rng, words)]) };
    }
  }
  if (tree.kind === 'object') return mutateObject(tree.entries, rng, words);
  if (tree.kind === 'list') return mutateList(tree.items, rng, words);
  const number = Number(tree.text);
  return tree.text !== '' && !Number.isNaN(number) && !oneIn(rng, 3)
    ? nearNumber(number, rng)
    : anyValue(rng, words);
}

type Entries = Extract<Tree, { kind: 'object' }>['entries'];

function mutateObject(entries: Entries, rng: Random, words: Dictionary): Tree {
  const at = rng.integer(entries.length + 1);
  const found = entries[at];
  const key = anyKey(rng, words);
  const object = (changed: Entries): Tree => ({ kind: 'object', entries: changed });
  if (found === undefined || oneIn(rng, 5)) return object([...entries, [key, anyValue(rng, words)]]);
  switch (rng.integer(6)) {
    case 0:
      return object(entries.toSpliced(at, 1));
    case 1:
      return object([...entries, found]);
    case 2:
      return object(entries.with(at, [key, found[1]]));
    case 3:
      return object(entries.with(at, [found[0], pick(rng, entries)[1]]));
    case 4:
      return object(entries.with(at, [found[0], anyValue(rng, words)]));
    default:
      return oneIn(rng, 2) ? anyValue(rng, words) : object([]);
  }
}

function mutateList(items: readonly Tree[], rng: Random, words: Dictionary): Tree {
  const at = rng.integer(items.length + 1);
  const list = (changed: readonly Tree[]): Tree => ({ kind: 'list', items: changed });
  switch (rng.integer(6)) {
    case 0:
      return list(items.toSpliced(at, 1));
    case 1:
      return list(items.toSpliced(at, 0, anyValue(rng, words)));
    case 2:
      return list([...items, ...items]);
    case 3:
      return list(items.toReversed());
    case 4:
      return list(Array.from({ length: 1 + rng.integer(12) }, () => items[0] ?? leaf('1')));
    default:
      return anyValue(rng, words);
  }
}

/** Numbers near another: off by one, scaled, of the other sign, not whole. */
function nearNumber(value: number, rng: Random): Tree {
  const near = [
    value + 1,
    value - 1,
    value * 2,
    value / 2,
    -value,
    value + 0.5,
    value * 2 ** 32,
    value * 2 ** 53,
    0,
  ];
  return leaf(String(pick(rng, near)));
}

function anyKey(rng: Random, words: Dictionary): string {
  return oneIn(rng, 2) && words.keys.length > 0 ? JSON.stringify(pick(rng, words.keys)) : pick(rng, KEYS);
}

function anyValue(rng: Random, words: Dictionary): Tree {
  if (oneIn(rng, 400)) return leaf(`"${'long '.repeat(2 ** (8 + rng.integer(11)))}"`);
  if (oneIn(rng, 60)) {
    const depth = pick(rng, [3, 65, 2000, 50_000]);
    return leaf(
      oneIn(rng, 2) ? '['.repeat(depth) + ']'.repeat(depth) : '{"a":'.repeat(depth) + '1' + '}'.repeat(depth),
    );
  }
  return leaf(oneIn(rng, 2) && words.values.length > 0 ? pick(rng, words.values) : pick(rng, VALUES));
}

function leaf(text: string): Tree {
  return { kind: 'leaf', text };
}

const KEYS = [
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', 'length', 'then', ''],
  ...['\u0000', '\u001b[2J', 'line\nbreak', 'é', 'e\u0301', '\ud83d\ude00', '../..', 'k'.repeat(5000)],
]
  .map((key) => JSON.stringify(key))
  .concat('"\\ud800"', '"\\udc00\\ud800"', '"\\u005f_proto__"', 'bare', '1', "'single'");

const VALUES = [
  ...['null', 'true', 'false', '[]', '{}', '[[]]', '[null]', '{"":0}', '""', '" "', '"0"', '"true"', '"null"'],
  ...[
    '0',
    '-0',
    '-1',
    '1',
    '2',
    '1.5',
    '1e-400',
    '1e308',
    '1e999',
    '-1e999',
    '1e1',
    '01',
    '+1',
    '.5',
    '1_0',
    '0x10',
  ],
  ...['255', '65536', '2147483647', '2147483648', '4294967296', '9007199254740991', '9007199254740992'],
  ...['9007199254740993', '9223372036854775808', '18446744073709551615', '18446744073709551616', '1e17'],
  ...['NaN', 'Infinity', '-Infinity', 'undefined', "'single'", '1 /* comment */', '[1,]', '{"a":1,}', '"a" "b"'],
  ...[
    '"\\ud800"',
    '"\\udc00x"',
    '"\\u0000"',
    '"\u0000"',
    '"\u2028"',
    '"tab\there"',
    '"\\x41"',
    '"\\u12"',
    '"open',
  ],
  ...['{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}', '{"a":1,"a":2}'],
  ...[
    '"../../../etc/passwd"',
    '"/dev/zero"',
    '"/dev/stdin"',
    '"C:\\\\x"',
    '"file:///etc/passwd"',
    '"."',
    '"a\\u0000b"',
  ],
  ...['"(a+)+$"', '"(.*)*x"', '"("', '"[a-"', '"(?<=a)b"', '".*"', '"\\\\p{L}+"', '"constructor"', '"__proto__"'],
];
