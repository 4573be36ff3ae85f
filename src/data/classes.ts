import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Loaded } from './loadFiles.js';
import { listNames } from './row.js';

/** The classes of the model that rows are read for. */
export interface KnownClasses {
  /** Their names, by their number. */
  readonly labels: readonly string[];
  /** Whether the model tells them apart already: its checkpoint, or an adapter, holds their output layer. */
  readonly isTrained: boolean;
  /** Rows may have these classes only: nothing is trained. */
  readonly isFixed: boolean;
}

/** Rows whose classes have their numbers, and the names of all classes by number. */
export interface Classified {
  readonly labels: readonly string[];
  readonly train: Loaded;
  readonly validation?: Loaded;
}

/**
 * Gives classes their numbers. The model's own are kept where they are those of the rows: all named in its config, or, of
 * a trained head, numbers of its classes. Otherwise they are those of the training rows, in order: numbers by value,
 * names by letters.
 *
 * @throws ProblemError `data.one-class` where there is nothing to tell apart, `data.unseen-label` for a held-out row (or
 *   any, where classes are fixed) of a class that is not among them
 */
export function numberClasses(train: Loaded, validation: Loaded | undefined, known: KnownClasses): Classified {
  const found = new Set(train.rows.map(({ label }) => label ?? ''));
  const own = ownNumbers(found, known);
  if (own === undefined && !known.isFixed && found.size < 2) {
    fail({
      code: 'data.one-class',
      message: l10n.t`all training rows are of one class: ${listNames(found)}`,
      where: { file: train.files[0]! },
      expected: l10n.t`rows of at least two classes`,
      mend: l10n.t`Check the column of the classes (data.columns.label), or add rows of others.`,
    });
  }
  const sorted = sortedNames(found);
  const numbers = own ?? new Map((known.isFixed ? known.labels : sorted).map((name, at) => [name, at]));
  const labels = own === undefined && !known.isFixed ? sorted : known.labels;
  const numbered = (loaded: Loaded): Loaded => ({
    ...loaded,
    rows: loaded.rows.map((row) => {
      const label = numbers.get(row.label ?? '') ?? unseen(row.label ?? '', row.example, labels, known.isFixed);
      return { ...row, example: { ...row.example, label } };
    }),
  });
  return {
    labels,
    train: numbered(train),
    ...(validation === undefined ? {} : { validation: numbered(validation) }),
  };
}

/** Numbers of the model's own classes by the names that rows give them; undefined where rows name others. */
function ownNumbers(
  found: ReadonlySet<string>,
  { labels, isTrained }: KnownClasses,
): ReadonlyMap<string, number> | undefined {
  const byName = new Map(labels.map((name, at) => [name, at]));
  const byNumber = new Map(labels.map((_, at) => [String(at), at]));
  const isAll = (numbers: ReadonlyMap<string, number>): boolean => [...found].every((name) => numbers.has(name));
  if (isAll(byName)) return byName;
  return isTrained && isAll(byNumber) ? byNumber : undefined;
}

function sortedNames(names: ReadonlySet<string>): readonly string[] {
  const all = [...names];
  const areNumbers = all.every((name) => /^-?\d+$/.test(name));
  return all.sort(areNumbers ? (a, b) => Number(a) - Number(b) : (a, b) => (a < b ? -1 : 1));
}

function unseen(
  label: string,
  { file, line }: { readonly file: string; readonly line: number },
  labels: readonly string[],
  isFixed: boolean,
): never {
  return fail({
    code: 'data.unseen-label',
    message: isFixed
      ? l10n.t`the row is of the class "${label}", which the model does not know`
      : l10n.t`the held-out row is of the class "${label}", which no training row has`,
    where: { file, line },
    expected: l10n.t`one of ${listNames(labels)}`,
    mend: l10n.t`Mend the row, or take it out.`,
  });
}
