import * as l10n from '@vscode/l10n';
import { TemplateStop } from './templateStop.js';

/** Characters of one text: a million tokens have some 4 million, and no context window more. */
const MAX_SIZE = 4 * 1024 * 1024;
/** An item of a list counts as so many characters: about what it takes in memory. */
const ITEM_SIZE = 16;
/** Most items of one list. */
export const MAX_ITEMS = MAX_SIZE / ITEM_SIZE;
/** All texts and lists made in one rendering, kept or not; a long conversation makes a tenth of it. */
const MAX_TOTAL = 16 * MAX_SIZE;

/** A value of the template engine. */
export interface TemplateValue {
  readonly type?: string;
  readonly value: unknown;
}

export interface TemplateArguments {
  readonly positional: readonly TemplateValue[];
  readonly keywords: ReadonlyMap<string, TemplateValue>;
}

/** What a value takes when it is written out, and how deep it nests. */
interface Size {
  readonly size: number;
  readonly depth: number;
  /** It holds a namespace, which can change. */
  readonly changes: boolean;
}

/** Bounds how much one rendering makes: hostile templates double texts and lists until the memory is full. */
export interface TemplateGrowth {
  /** Checks a value that was made: by itself, written out in full, and with all others of the rendering. */
  checkMade(made: TemplateValue): void;
  /** Checks, before it is called, a filter or method whose result can be a multiple of what it is given. */
  checkCall(name: string, operand: TemplateValue, given: TemplateArguments): void;
}

/** For one rendering. Both checks throw {@link TemplateStop}. */
export function templateGrowth(): TemplateGrowth {
  let total = 0;
  const known = new WeakMap<object, Size>();

  const sizeOf = ({ type, value }: TemplateValue): Size => {
    if (typeof value === 'string') return { size: value.length, depth: 0, changes: false };
    if (!Array.isArray(value) && !(value instanceof Map)) return { size: 1, depth: 0, changes: false };
    const before = known.get(value);
    if (before !== undefined) return before;
    let [size, depth, changes] = [0, 0, type === 'NamespaceValue'];
    const add = (inner: TemplateValue): void => {
      const found = sizeOf(inner);
      size += ITEM_SIZE + found.size;
      depth = Math.max(depth, found.depth);
      changes ||= found.changes;
      // What is too big already need not be walked to its end.
      bound(size);
    };
    if (value instanceof Map) {
      for (const [key, inner] of value as Map<string, TemplateValue>) {
        size += key.length;
        add(inner);
      }
    } else (value as TemplateValue[]).forEach(add);
    const result = { size, depth: depth + 1, changes };
    if (!changes) known.set(value, result);
    return result;
  };

  return {
    checkMade(made) {
      bound(sizeOf(made).size);
      total += ownSize(made.value);
      if (total > MAX_TOTAL) {
        throw new TemplateStop('template.limit', l10n.t`it makes more than ${MAX_TOTAL} characters in all`);
      }
    },
    checkCall(name, operand, { positional, keywords }) {
      const { value } = operand;
      if (name === 'join') {
        const items = typeof value === 'string' || Array.isArray(value) ? value.length : 0;
        bound(items * textOf(positional[0] ?? keywords.get('separator')).length);
      } else if (name === 'tojson') {
        const { size, depth } = sizeOf(operand);
        const separators = keywords.get('separators');
        const between = separators === undefined ? 0 : sizeOf(separators).size;
        bound(size * (1 + numberOf(keywords.get('indent')) * depth) + (size / ITEM_SIZE) * between);
      } else if (typeof value === 'string') bound(sizeOfText(name, value, { positional, keywords }));
    },
  };
}

/** What a filter or method makes of a text. */
function sizeOfText(name: string, text: string, { positional, keywords }: TemplateArguments): number {
  const first = textOf(positional[0]);
  switch (name) {
    case 'indent':
      return text.length + (count(text, '\n') + 1) * numberOf(positional[0] ?? keywords.get('width'));
    case 'replace':
      return text.length + count(text, first) * textOf(positional[1]).length;
    case 'split':
      return ITEM_SIZE * (first === '' ? count(text, ' ') + count(text, '\n') : count(text, first));
    default:
      return text.length;
  }
}

/** What a value takes by itself, without what it holds. */
function ownSize(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (Array.isArray(value)) return value.length * ITEM_SIZE;
  return value instanceof Map ? value.size * ITEM_SIZE : 1;
}

function bound(size: number): void {
  if (size <= MAX_SIZE) return;
  throw new TemplateStop('template.limit', l10n.t`it makes a text or list of more than ${MAX_SIZE} characters`);
}

/** How often a part occurs; an empty one stands between all characters. */
function count(text: string, part: string): number {
  if (part === '') return text.length + 1;
  let found = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) found++;
  return found;
}

function numberOf(argument: TemplateValue | undefined): number {
  return typeof argument?.value === 'number' ? Math.max(0, argument.value) : 0;
}

function textOf(argument: TemplateValue | undefined): string {
  return typeof argument?.value === 'string' ? argument.value : '';
}
