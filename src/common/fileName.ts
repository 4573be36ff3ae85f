/** The last part of a path, whichever system wrote it: `/a/b.txt` → `b.txt`. */
export function fileName(path: string): string {
  return path.split(/[\\/]/).filter(Boolean).at(-1) ?? path;
}
