/** Picks, the same every time for a seed (a linear congruential generator: Numerical Recipes, 1992, section 7.1). */
export function randomSource(seed: number): <T>(items: readonly T[]) => T {
  let state = seed;
  return (items) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return items[Math.floor((state / 2 ** 32) * items.length)]!;
  };
}
