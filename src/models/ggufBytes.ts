/** Numbers and texts as GGUF files hold them: little-endian, texts behind their length. */

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

export function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

export function f32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return bytes;
}

export function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return join(u64(bytes.length), bytes);
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** GGUF's numbers of value types. */
export const [UINT32_VALUE, FLOAT32_VALUE, TEXT_VALUE] = [4, 6, 8] as const;
