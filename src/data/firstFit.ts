import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';

/**
 * First-fit bin packing (Johnson 1973): each item, in order, goes into the first bin that has room. Returns the
 * items' indices per bin. A tree over the bins keeps the largest room below each node: O(n log n).
 * Throws `data.row-too-long` for an item over the capacity.
 */
export function firstFit(lengths: readonly number[], capacity: number): number[][] {
  let leaves = 1;
  while (leaves < lengths.length) leaves *= 2;
  // room[1] is the root, room[leaves + b] is bin b.
  const room = new Float64Array(2 * leaves).fill(capacity);
  const bins: number[][] = [];
  for (const [item, length] of lengths.entries()) {
    if (length > capacity) {
      fail({
        code: 'data.row-too-long',
        message: l10n.t`an example has ${length} tokens; a packed row holds ${capacity}`,
        mend: l10n.t`Cut examples to the length of a packed row (max_length).`,
      });
    }
    let node = 1;
    while (node < leaves) node = room[2 * node]! >= length ? 2 * node : 2 * node + 1;
    (bins[node - leaves] ??= []).push(item);
    room[node]! -= length;
    for (node >>= 1; node >= 1; node >>= 1) room[node] = Math.max(room[2 * node]!, room[2 * node + 1]!);
  }
  return bins;
}
