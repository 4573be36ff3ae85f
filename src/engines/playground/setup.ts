import * as l10n from '@vscode/l10n';
import type { Problem } from '../../common/problem.js';
import { BASE_COLUMN, MAX_COLUMNS } from './protocol.js';
import type { PlaygroundTold, Steering } from './protocol.js';

/** The base model of a playground. */
export interface PlaygroundBase {
  /** As commands take it: a folder, a GGUF file, or the id of a model in the hub. */
  readonly model: string;
  readonly label: string;
  /** The same for all adapters that name this base. */
  readonly key: string;
  /** Where a relative path starts. */
  readonly folder?: string;
}

/** An adapter to look at, by its folder. */
export interface PlaygroundAdapter {
  readonly folder: string;
  readonly name: string;
  /** It is one of another, small model, and steers the base. */
  readonly steering?: Steering | undefined;
}

/** One column: the base model, an adapter on it, or the base model steered by a small one. */
export interface PlaygroundColumn {
  readonly id: string;
  readonly name: string;
  /** The adapter's folder; undefined for the base model. */
  readonly folder?: string;
  readonly steering?: Steering | undefined;
  readonly state: 'resting' | 'loading' | 'ready' | 'failed';
  readonly problem?: Problem;
  readonly warnings: readonly Problem[];
}

/** What is open, as the page shows it. */
export interface PlaygroundSetup {
  readonly base: PlaygroundBase | undefined;
  /** The base model's first. */
  readonly columns: readonly PlaygroundColumn[];
  /** What is being done, while something is. */
  readonly activity: string;
  /** Whether the model has a chat template; undefined before it is open. */
  readonly chat: boolean | undefined;
}

/** Nothing chosen yet. */
export const NO_SETUP: PlaygroundSetup = { base: undefined, columns: [], activity: '', chat: undefined };

/** A base model whose process does not run yet. */
export function setupOf(base: PlaygroundBase): PlaygroundSetup {
  const column = { id: BASE_COLUMN, name: l10n.t`Base model`, state: 'resting', warnings: [] } as const;
  return { base, columns: [column], activity: '', chat: undefined };
}

/**
 * With one more adapter.
 * @param wanted the id of its column, where it had one before; a free one is taken where that is none
 * @returns undefined where there is no room, or the adapter has a column already
 */
export function withAdapter(
  setup: PlaygroundSetup,
  adapter: PlaygroundAdapter,
  wanted?: unknown,
): PlaygroundSetup | undefined {
  if (setup.columns.length >= MAX_COLUMNS || hasColumn(setup, adapter)) return undefined;
  const { folder, name, steering } = adapter;
  const free = LETTERS.filter((letter) => setup.columns.every((column) => column.id !== letter));
  const id = free.find((letter) => letter === wanted) ?? free[0]!;
  const column = { id, name, folder, steering, state: 'resting', warnings: [] } as const;
  return { ...setup, columns: [...setup.columns, column] };
}

/** Whether an adapter has a column already; one that steers may have several, each with an α of its own. */
export function hasColumn({ columns }: PlaygroundSetup, { folder, steering }: PlaygroundAdapter): boolean {
  return columns.some((column) => column.folder === folder && column.steering?.alpha === steering?.alpha);
}

/**
 * With another factor for a column that steers.
 * @returns undefined where there is no such column, or another one has this factor already
 */
export function withAlpha(setup: PlaygroundSetup, id: string, alpha: number): PlaygroundSetup | undefined {
  const column = setup.columns.find((each) => each.id === id);
  if (column?.folder === undefined || column.steering === undefined || !Number.isFinite(alpha)) return undefined;
  const { folder, name, steering } = column;
  const changedTo = { ...steering, alpha };
  const isTaken = hasColumn(withoutColumn(setup, id), { folder, name, steering: changedTo });
  return isTaken ? undefined : changed(setup, [id], { steering: changedTo });
}

/** Enough for every column, with one over while another is removed. */
const LETTERS = Array.from({ length: MAX_COLUMNS }, (_, at) => String.fromCharCode('A'.charCodeAt(0) + at));

/** Without a column. */
export function withoutColumn(setup: PlaygroundSetup, id: string): PlaygroundSetup {
  return { ...setup, columns: setup.columns.filter((column) => column.id !== id) };
}

/** The process was started, or a column was handed to it. */
export function loading(setup: PlaygroundSetup, ids: readonly string[]): PlaygroundSetup {
  return changed({ ...setup, activity: l10n.t`Starting` }, ids, { state: 'loading', problem: undefined });
}

/** What the process tells changes what is shown of the setup; the same object where it does not. */
export function setupAfter(setup: PlaygroundSetup, told: PlaygroundTold): PlaygroundSetup {
  switch (told.type) {
    case 'progress': {
      const { activity, done, total } = told;
      return { ...setup, activity: total > 0 ? l10n.t`${activity}: ${done} of ${total}` : activity };
    }
    case 'opened':
      return changed(
        { ...setup, chat: told.base.chat, activity: setup.columns.length > 1 ? l10n.t`Attaching adapters` : '' },
        [BASE_COLUMN],
        { state: 'ready', warnings: told.base.warnings },
      );
    case 'attached':
      return settled(changed(setup, [told.column], { state: 'ready', warnings: told.warnings }));
    case 'refused':
      if (told.request !== undefined) return setup;
      if (told.column === undefined) return ended(setup, told.problem);
      return settled(changed(setup, [told.column], { state: 'failed', problem: told.problem }));
    case 'ended':
      return ended(setup, told.problem);
    default:
      return setup;
  }
}

/** The process is gone, and why. */
function ended(setup: PlaygroundSetup, problem: Problem): PlaygroundSetup {
  const rest = setup.columns.map((column) => ({ ...column, state: 'resting' as const, problem: undefined }));
  return changed({ ...setup, columns: rest, activity: '' }, [BASE_COLUMN], { state: 'failed', problem });
}

function settled(setup: PlaygroundSetup): PlaygroundSetup {
  return setup.columns.some(({ state }) => state === 'loading') ? setup : { ...setup, activity: '' };
}

function changed(
  setup: PlaygroundSetup,
  ids: readonly string[],
  change: Partial<PlaygroundColumn>,
): PlaygroundSetup {
  const columns = setup.columns.map((column) => (ids.includes(column.id) ? { ...column, ...change } : column));
  return { ...setup, columns };
}
