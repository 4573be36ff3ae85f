/** How many columns a text takes where letters are of one width: a Chinese one takes two. */
function columnsOf(text: string): number {
  return [...text].length + (text.match(/[\p{Script=Han}\u3000-\u303f\uff00-\uff60]/gu)?.length ?? 0);
}

/** Columns as wide as their widest cell, two spaces between them: for documents in letters of one width. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll('\n', ' ')));
  // A file may hold more modules than a call takes arguments.
  const widths: number[] = [];
  for (const row of cells) {
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, columnsOf(cell))));
  }
  return cells.map((row) =>
    row
      .map((cell, column) => cell + ' '.repeat(widths[column]! - columnsOf(cell)))
      .join('  ')
      .trimEnd(),
  );
}

/** What a document calls an adapter. */
export function title(folder: string): string {
  const parts = folder.split(/[\\/]/).filter(Boolean);
  // A run's adapter is named by its run, too.
  return parts.at(-1) === 'adapter' ? parts.slice(-3).join('/') : (parts.at(-1) ?? folder);
}
