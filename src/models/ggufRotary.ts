/**
 * The row order of q and k. Transformers rotates component i of a head with component i + d/2, llama.cpp component 2i with
 * 2i + 1: row h·d + 2i + s of a GGUF file is row h·d + s·(d/2) + i of the Hugging Face weight.
 */

/**
 * The rows of a Hugging Face weight in the order of llama.cpp.
 * @param values [rows] or [rows, columns]
 */
export function permuteRotaryRows(values: Float32Array, rows: number, heads: number): Float32Array {
  return reordered(values, rows, (row) => ({ from: halvesRow(row, rows / heads), to: row }));
}

/** Undoes {@link permuteRotaryRows}. */
export function unpermuteRotaryRows(values: Float32Array, rows: number, heads: number): Float32Array {
  return reordered(values, rows, (row) => ({ from: row, to: halvesRow(row, rows / heads) }));
}

/** Where the row of a file that holds pairs lies where a head is two halves. */
function halvesRow(row: number, headSize: number): number {
  const within = row % headSize;
  return row - within + (within & 1) * (headSize / 2) + (within >> 1);
}

function reordered(
  values: Float32Array,
  rows: number,
  move: (row: number) => { readonly from: number; readonly to: number },
): Float32Array {
  const columns = values.length / rows;
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const { from, to } = move(row);
    out.set(values.subarray(from * columns, (from + 1) * columns), to * columns);
  }
  return out;
}
