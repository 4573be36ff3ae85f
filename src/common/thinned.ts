/**
 * Items that come one after the other and of which evenly spread ones are kept, so that all together stay within a
 * size however many come: the first, the last, and between them every one, then every second, every fourth, …
 */
export interface Thinned<Item> {
  /** What is kept, in the order in which it came. */
  items(): readonly Item[];
  /**
   * Takes one in. Items of one group that come one after the other are kept or dropped together.
   * @param size in a unit of the caller's
   * @returns what is kept no longer
   */
  add(item: Item, group: number, size: number): readonly Item[];
  /** Drops items from the end for as long as they are over. */
  dropLast(isOver: (item: Item) => boolean): void;
}

interface Kept<Item> {
  readonly item: Item;
  readonly group: number;
  readonly size: number;
  /** Counts the groups that came. */
  readonly number: number;
}

/** @param limit the sum of sizes above which every second group goes; the first and the last group always stay */
export function createThinned<Item>(limit: number): Thinned<Item> {
  let kept: Kept<Item>[] = [];
  let total = 0;
  let stride = 1;

  function keepOnly(stays: (each: Kept<Item>) => boolean): Item[] {
    const dropped: Item[] = [];
    kept = kept.filter((each) => {
      if (stays(each)) return true;
      total -= each.size;
      dropped.push(each.item);
      return false;
    });
    return dropped;
  }

  return {
    items: () => kept.map(({ item }) => item),
    add(item, group, size) {
      const last = kept.at(-1);
      const number = last === undefined ? 0 : last.number + (last.group === group ? 0 : 1);
      const dropped: Item[] = [];
      // The last one was kept for being the last.
      if (last !== undefined && last.number !== number && last.number % stride !== 0) {
        dropped.push(...keepOnly((each) => each.number !== last.number));
      }
      kept.push({ item, group, size, number });
      total += size;
      while (total > limit && kept.some((each) => each.number > 0 && each.number < number)) {
        stride *= 2;
        dropped.push(...keepOnly((each) => each.number % stride === 0 || each.number === number));
      }
      return dropped;
    },
    dropLast(isOver) {
      for (let last = kept.at(-1); last !== undefined && isOver(last.item); last = kept.at(-1)) {
        total -= last.size;
        kept.pop();
      }
    },
  };
}
