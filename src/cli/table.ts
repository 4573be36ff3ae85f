/**
 * Rows as aligned columns, two spaces apart. Columns that hold only numbers are aligned right; the last column is
 * not padded.
 */
export function table(rows: readonly (readonly string[])[], heading?: readonly string[]): string {
  const all = heading === undefined ? rows : [heading, ...rows];
  const columns = Math.max(0, ...all.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, at) =>
    Math.max(...all.map((row) => [...(row[at] ?? '')].length)),
  );
  const numeric = widths.map(
    (_, at) => rows.length > 0 && rows.every((row) => /^[\d.,e+-]+$/.test(row[at] ?? '')),
  );
  return all
    .map((row) =>
      row
        .map((cell, at) => {
          const padding = ' '.repeat(widths[at]! - [...cell].length);
          if (numeric[at]) return padding + cell;
          return at === columns - 1 ? cell : cell + padding;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
