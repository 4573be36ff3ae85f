import * as l10n from '@vscode/l10n';
import type { Place } from '../common/problem.js';

/** A run file's content with a place for everything in it; what checks and the editor read. */
export type ConfigNode = MapNode | ListNode | ScalarNode;

export interface MapNode {
  readonly kind: 'map';
  readonly at: Place;
  readonly entries: readonly Entry[];
}

export interface Entry {
  readonly key: string;
  readonly keyAt: Place;
  readonly value: ConfigNode;
}

export interface ListNode {
  readonly kind: 'list';
  readonly at: Place;
  readonly items: readonly ConfigNode[];
}

export interface ScalarNode {
  readonly kind: 'scalar';
  readonly at: Place;
  readonly value: string | number | boolean | null;
  /** As written, without quotes; empty where nothing was written. */
  readonly source: string;
  readonly quoted: boolean;
}

/** Keys and list indices from the top: `['method', 0, 'r']`. */
export type ConfigPath = readonly (string | number)[];

/** The entry of a mapping with this key. */
export function entryOf(node: MapNode, key: string): Entry | undefined {
  return node.entries.find((entry) => entry.key === key);
}

/**
 * The place of a key or value. Where the file does not have it (a default), the place of the nearest thing above
 * it. A single value counts as a list of one, so that `method.0.r` is found where `method` is not a list.
 */
export function placeAt(root: ConfigNode, path: ConfigPath, part: 'key' | 'value' = 'value'): Place {
  let place = root.at;
  let node = root;
  for (const [depth, step] of path.entries()) {
    if (typeof step === 'number') {
      const item = node.kind === 'list' ? node.items[step] : node;
      if (!item) return place;
      node = item;
      if (node !== root) place = node.at;
    } else {
      const entry = node.kind === 'map' ? entryOf(node, step) : undefined;
      if (!entry) return place;
      node = entry.value;
      place = depth === path.length - 1 && part === 'value' ? node.at : entry.keyAt;
    }
  }
  return place;
}

/** The value at a path of keys and indices, if the file has it. */
export function nodeAt(root: ConfigNode, path: ConfigPath): ConfigNode | undefined {
  let node: ConfigNode | undefined = root;
  for (const step of path) {
    if (node?.kind === 'list') node = typeof step === 'number' ? node.items[step] : undefined;
    else node = node?.kind === 'map' ? entryOf(node, String(step))?.value : undefined;
  }
  return node;
}

/** How a path is written in messages and after `--set`: `method.0.r`. */
export function pathText(path: ConfigPath): string {
  return path.join('.');
}

/** What a value is, in plain words: "the text `fast`". */
export function describeNode(node: ConfigNode): string {
  if (node.kind === 'map') return l10n.t`a mapping of keys to values`;
  if (node.kind === 'list') return l10n.t`a list`;
  if (node.value === null) return 'empty';
  if (typeof node.value === 'string') return l10n.t`the text \`${shorten(node.value)}\``;
  if (typeof node.value === 'number') return l10n.t`the number ${shorten(node.source || String(node.value))}`;
  return `\`${node.value}\``;
}

/** Long enough to recognise a value, short enough for one line of a message. */
const SHOWN_CHARACTERS = 60;

/** A text in one line for a message; what is cut off is marked by an ellipsis. */
export function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  return line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS)}…` : line;
}

/** The content without places. */
export function plainValue(node: ConfigNode): unknown {
  switch (node.kind) {
    case 'map':
      return Object.fromEntries(node.entries.map(({ key, value }) => [key, plainValue(value)]));
    case 'list':
      return node.items.map(plainValue);
    case 'scalar':
      return node.value;
  }
}
