/** Text as numbers, for what is kept among tensors: UTF-8, a byte to an integer. */
export function packText(text: string): Int32Array {
  return Int32Array.from(new TextEncoder().encode(text));
}

/** Text out of {@link packText}. */
export function unpackText(numbers: ArrayLike<number>): string {
  return new TextDecoder().decode(Uint8Array.from(numbers));
}
