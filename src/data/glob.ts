/**
 * Whether a path fits a pattern as data cards have them: `*` within a name, `**` over folders, `?`, `[abc]`, `[0-9]`,
 * `[!a]`. Takes time in proportion to both lengths multiplied, whatever the pattern.
 */
export function matchesGlob(path: string, pattern: string): boolean {
  const parts = pattern.replace(/^\.\//, '').split('/');
  const names = path.split('/');
  // As in Python's globs, `a/**` is what `a` holds, and `**/a` is `a` too.
  return wildcards(
    names,
    parts,
    (part) => part === '**',
    (name, part) => matchesName(name, part),
  );
}

function matchesName(name: string, pattern: string): boolean {
  const units = pattern.match(/\[!?[^\]]+\]|[^]/gu) ?? [];
  return wildcards([...name], units, (unit) => unit === '*' || unit === '**', matchesUnit);
}

/** Greedy matching that goes back to the last wildcard only: where a later one fits, an earlier need not move. */
function wildcards<Item>(
  items: readonly Item[],
  pattern: readonly string[],
  isWild: (unit: string) => boolean,
  fits: (item: Item, unit: string) => boolean,
): boolean {
  let at = 0;
  let unit = 0;
  let wild = -1;
  let resume = 0;
  while (at < items.length) {
    const now = pattern[unit];
    if (now !== undefined && isWild(now)) {
      wild = unit++;
      resume = at;
    } else if (now !== undefined && fits(items[at]!, now)) {
      at++;
      unit++;
    } else if (wild >= 0) {
      unit = wild + 1;
      at = ++resume;
    } else return false;
  }
  while (unit < pattern.length && isWild(pattern[unit]!)) unit++;
  return unit === pattern.length;
}

function matchesUnit(char: string, unit: string): boolean {
  if (unit === '?') return true;
  if (unit.length < 3 || !unit.startsWith('[')) return char === unit;
  const negated = unit[1] === '!';
  const members = [...unit.slice(negated ? 2 : 1, -1)];
  let found = false;
  for (let at = 0; at < members.length; at++) {
    const last = members[at + 1] === '-' ? members[at + 2] : undefined;
    if (last === undefined) found ||= members[at] === char;
    else {
      found ||= members[at]! <= char && char <= last;
      at += 2;
    }
  }
  return found !== negated;
}
