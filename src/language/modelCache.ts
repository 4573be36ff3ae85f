/**
 * Remembers what was made of a file, until the file has another version (times and sizes). Two who ask at once share
 * the work; what was asked for longest ago is forgotten first.
 */
export function keptByVersion<Value>(
  most: number,
): (key: string, version: string, make: () => Promise<Value>) => Promise<Value> {
  const kept = new Map<string, { readonly version: string; readonly value: Promise<Value> }>();
  return (key, version, make) => {
    const known = kept.get(key);
    kept.delete(key);
    const entry = known?.version === version ? known : { version, value: make() };
    kept.set(key, entry);
    // What failed is tried again.
    entry.value.catch(() => kept.get(key) === entry && kept.delete(key));
    if (kept.size > most) for (const oldest of [...kept.keys()].slice(0, kept.size - most)) kept.delete(oldest);
    return entry.value;
  };
}
