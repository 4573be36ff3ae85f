import path from 'node:path';
import type { FoundBase } from '../../adapters/findBase.js';
import type { Entry, Findings } from './library.js';

/** One row of the tree; the same object for as long as it is shown. */
export type Row = BaseRow | ItemRow;

/** A base model: adapters and runs hang below it. */
export interface BaseRow {
  readonly kind: 'base';
  readonly key: string;
}

/** An adapter, a run or a merged model. */
export interface ItemRow {
  readonly kind: 'item';
  readonly folder: string;
}

/** What a change makes necessary to draw again; `all`: rows came or went at the top. */
export type Redraw = 'all' | readonly Row[];

/** Base models → runs and adapters → adapters of a run. */
export interface ExplorerModel {
  /** Takes in what was found. */
  apply(findings: Findings): Redraw;
  /** Drops what lies in a folder or below it. */
  drop(folder: string): Redraw;
  /** Folders of everything shown, with what they hold. */
  entries(): ReadonlyMap<string, Entry>;
  roots(): readonly BaseRow[];
  children(row: Row): readonly ItemRow[];
  parent(row: Row): Row | undefined;
  entry(row: ItemRow): Entry | undefined;
  base(row: BaseRow): FoundBase | undefined;
}

/** Makes the model of an empty tree. */
export function createExplorerModel(): ExplorerModel {
  const entries = new Map<string, Entry>();
  const baseRows = new Map<string, BaseRow>();
  const itemRows = new Map<string, ItemRow>();
  let shape = shapeOf(entries);

  const baseRow = (key: string): BaseRow => remembered(baseRows, key, () => ({ kind: 'base', key }));
  const itemRow = (folder: string): ItemRow => remembered(itemRows, folder, () => ({ kind: 'item', folder }));

  function reshape(touched: readonly string[]): Redraw {
    const before = shape;
    shape = shapeOf(entries);
    for (const folder of itemRows.keys()) if (!entries.has(folder)) itemRows.delete(folder);
    for (const key of baseRows.keys()) if (!shape.bases.has(key)) baseRows.delete(key);
    if (!sameList(before.roots, shape.roots)) return 'all';
    const rows = new Set<Row>();
    for (const key of shape.roots) {
      const moved = before.bases.get(key)?.place !== shape.bases.get(key)?.place;
      if (moved || !sameList(before.below.get(key) ?? [], shape.below.get(key) ?? [])) rows.add(baseRow(key));
    }
    for (const folder of touched) {
      const owner = shape.owners.get(folder) ?? before.owners.get(folder);
      const key = keyOf(entries, owner ?? folder);
      if (key !== undefined && rows.has(baseRow(key))) continue;
      if (owner !== undefined && entries.has(owner)) rows.add(itemRow(owner));
      else if (entries.has(folder)) rows.add(itemRow(folder));
    }
    return [...rows];
  }

  return {
    apply({ changed, gone }) {
      // A folder that is no adapter may be a run all the same.
      const lost = gone
        .filter(({ kind, folder }) => entries.get(folder)?.item.kind === kind)
        .map(({ folder }) => folder);
      for (const folder of lost) entries.delete(folder);
      for (const entry of changed) entries.set(entry.item.folder, entry);
      return reshape([...lost, ...changed.map(({ item }) => item.folder)]);
    },
    drop(folder) {
      const dropped = [...entries.keys()].filter((each) => isWithin(each, folder));
      for (const each of dropped) entries.delete(each);
      return dropped.length === 0 ? [] : reshape(dropped);
    },
    entries: () => entries,
    roots: () => shape.roots.map(baseRow),
    children: (row) => (shape.below.get(row.kind === 'base' ? row.key : row.folder) ?? []).map(itemRow),
    parent(row) {
      if (row.kind === 'base') return undefined;
      const owner = shape.owners.get(row.folder);
      if (owner !== undefined) return itemRow(owner);
      const key = keyOf(entries, row.folder);
      return key === undefined ? undefined : baseRow(key);
    },
    entry: (row) => entries.get(row.folder),
    base: (row) => shape.bases.get(row.key),
  };
}

interface Shape {
  /** Keys of bases, by their label. */
  readonly roots: readonly string[];
  readonly bases: ReadonlyMap<string, FoundBase>;
  /** Folders below a base's key or a run's folder, the newest first. */
  readonly below: ReadonlyMap<string, readonly string[]>;
  /** The run that an adapter or a merged model belongs to. */
  readonly owners: ReadonlyMap<string, string>;
}

/** An adapter or a merged model inside a run's folder belongs to the run; everything else hangs at its base. */
function shapeOf(entries: ReadonlyMap<string, Entry>): Shape {
  const bases = new Map<string, FoundBase>();
  const below = new Map<string, string[]>();
  const owners = new Map<string, string>();
  for (const [folder, { item, base }] of entries) {
    const owner = item.kind === 'run' ? undefined : ownerOf(folder, entries);
    if (owner !== undefined) owners.set(folder, owner);
    else if (!bases.has(base.key)) bases.set(base.key, base);
    const parent = owner ?? base.key;
    remembered(below, parent, () => []).push(folder);
  }
  const modified = (folder: string): number => entries.get(folder)!.item.modified;
  for (const folders of below.values()) folders.sort((a, b) => modified(b) - modified(a) || (a < b ? -1 : 1));
  const label = (key: string): string => bases.get(key)!.label.toLowerCase();
  const roots = [...bases.keys()].sort((a, b) => {
    // What has no base stands last.
    if ((a === '') !== (b === '')) return a === '' ? 1 : -1;
    return label(a) < label(b) ? -1 : label(a) > label(b) ? 1 : a < b ? -1 : 1;
  });
  return { roots, bases, below, owners };
}

/** The nearest run above a folder. */
function ownerOf(folder: string, entries: ReadonlyMap<string, Entry>): string | undefined {
  for (let at = path.dirname(folder); at !== path.dirname(at); at = path.dirname(at)) {
    if (entries.get(at)?.item.kind === 'run') return at;
  }
  return undefined;
}

/** Whether a path is the folder or lies below it. */
export function isWithin(target: string, folder: string): boolean {
  return target === folder || target.startsWith(folder.endsWith(path.sep) ? folder : folder + path.sep);
}

function keyOf(entries: ReadonlyMap<string, Entry>, folder: string): string | undefined {
  return entries.get(folder)?.base.key;
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, at) => value === b[at]);
}

function remembered<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
