import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { random, shuffle } from '../common/random.js';
import { nothingCounted } from './loadFiles.js';
import type { Loaded } from './loadFiles.js';

/**
 * Draws a validation split: below 1 a share of the usable rows (at least one), from 1 on a number of them. The
 * halves are disjoint and keep the files' order; rows that could not be used are counted with the training
 * half. Throws `data.validation-split` when no training row would be left.
 */
export function splitRows(all: Loaded, split: number, seed: number): { train: Loaded; validation: Loaded } {
  const count = all.rows.length;
  const wanted = split < 1 ? Math.max(1, Math.round(split * count)) : split;
  if (!Number.isInteger(wanted) || wanted < 1 || wanted >= count) {
    fail({
      code: 'data.validation-split',
      message:
        count === 1
          ? l10n.t`"validation_split" is ${split}, of 1 usable row`
          : l10n.t`"validation_split" is ${split}, of ${count} usable rows`,
      expected:
        count > 1
          ? l10n.t`a share between 0 and 1, or a whole number of rows up to ${count - 1}`
          : l10n.t`a share between 0 and 1, or a whole number of rows`,
      mend: l10n.t`Change it, or name a file under "validation".`,
    });
  }
  const order = shuffle([...all.rows.keys()], random(seed, 'validation-split'));
  const held = new Set(order.slice(0, wanted));
  return {
    train: { ...all, rows: all.rows.filter((_, i) => !held.has(i)), rowCount: all.rowCount - wanted },
    validation: {
      ...nothingCounted(all.files),
      formats: all.formats,
      rows: all.rows.filter((_, i) => held.has(i)),
      rowCount: wanted,
    },
  };
}
