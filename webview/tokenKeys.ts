/**
 * Tokens that the mouse or the arrow keys point at: one element of `list` per token, each with its place in `data-at`,
 * one of them reached by Tab.
 */
export interface TokenKeys {
  /** Other tokens are shown: the first is reached by Tab again. */
  restart(): void;
}

/**
 * Follows the mouse, the focus and the arrow keys over tokens.
 * @param at the element of a token; undefined where there is none
 * @param onPoint told of each token that is pointed at
 */
export function followTokens(
  list: HTMLElement,
  {
    at,
    count,
    onPoint,
  }: {
    readonly at: (index: number) => HTMLElement | undefined;
    readonly count: () => number;
    readonly onPoint: (index: number) => void;
  },
): TokenKeys {
  let pointed = 0;

  function point(index: number, focus: boolean): void {
    const token = at(index);
    if (token === undefined) return;
    at(pointed)?.setAttribute('tabindex', '-1');
    pointed = index;
    token.setAttribute('tabindex', '0');
    if (focus) token.focus();
    onPoint(index);
  }

  for (const kind of ['mouseover', 'focusin'] as const) {
    list.addEventListener(kind, ({ target }) => {
      const place = target instanceof HTMLElement ? target.dataset['at'] : undefined;
      if (place !== undefined) point(Number(place), false);
    });
  }
  list.addEventListener('keydown', (event) => {
    const last = count() - 1;
    const places: Readonly<Record<string, number>> = {
      ArrowLeft: pointed - 1,
      ArrowRight: pointed + 1,
      Home: 0,
      End: last,
    };
    const to = places[event.key];
    if (to === undefined) return;
    event.preventDefault();
    point(Math.max(0, Math.min(to, last)), true);
  });
  return { restart: () => (pointed = 0) };
}
