/**
 * Short names of adapters by their folders: what of their paths tells them apart, without an ending `/adapter`. Of
 * `runs/imdb/2026-01-01/adapter` and `runs/trec/2026-01-02/adapter` these are `imdb` and `trec`.
 */
export function adapterNames(folders: readonly string[]): readonly string[] {
  const paths = folders.map((folder) => {
    const parts = folder.split(/[\\/]/).filter((part) => part !== '');
    return parts.length > 1 && parts.at(-1) === 'adapter' ? parts.slice(0, -1) : parts;
  });
  const lengths = paths.map(({ length }) => length);
  let shared = 0;
  const [shortest, longest] = [Math.min(...lengths), Math.max(...lengths)];
  // The last part of the shortest path stays: no name is empty.
  const isShared = (at: number): boolean =>
    at < Math.min(shortest, longest) - 1 && paths.every((parts) => parts[at] === paths[0]![at]);
  while (isShared(shared)) shared += 1;
  for (let kept = 1; shared + kept <= longest; kept += 1) {
    const names = paths.map((parts) => parts.slice(shared, shared + kept).join('/'));
    if (new Set(names).size === new Set(folders).size) return names;
  }
  return paths.map((parts) => parts.slice(shared).join('/'));
}
