/** Writes GGUF files piece by piece, so that tests can make any piece wrong. */
type Part = Uint8Array;

export const u8 = (value: number): Part => Uint8Array.of(value);
export const u32 = (value: number): Part => new Uint8Array(Uint32Array.of(value).buffer);
export const u64 = (value: number | bigint): Part => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
export const f32 = (value: number): Part => new Uint8Array(Float32Array.of(value).buffer);
export const text = (value: string): Part => join(u64(Buffer.byteLength(value)), Buffer.from(value));

export function join(...parts: Part[]): Part {
  return Uint8Array.from(Buffer.concat(parts));
}

/** Metadata values with their type numbers. */
export const value = {
  u32: (item: number): Part => join(u32(4), u32(item)),
  f32: (item: number): Part => join(u32(6), f32(item)),
  bool: (item: boolean): Part => join(u32(7), u8(item ? 1 : 0)),
  text: (item: string): Part => join(u32(8), text(item)),
  texts: (items: readonly string[]): Part => join(u32(9), u32(8), u64(items.length), ...items.map(text)),
  ints: (items: readonly number[]): Part => join(u32(9), u32(4), u64(items.length), ...items.map(u32)),
};

export interface TensorPart {
  readonly name: string;
  /** In GGUF's order: the fastest first. */
  readonly dims: readonly (number | bigint)[];
  readonly type: number;
  readonly offset: number | bigint;
}

export function ggufFile(options: {
  version?: number;
  metadata?: Readonly<Record<string, Part>>;
  extraKeys?: readonly [string, Part][];
  tensors?: readonly TensorPart[];
  tensorCount?: number | bigint;
  keyCount?: number | bigint;
  data?: Part;
}): Part {
  const keys = [...Object.entries(options.metadata ?? {}), ...(options.extraKeys ?? [])];
  const tensors = options.tensors ?? [];
  const header = join(
    Buffer.from('GGUF'),
    u32(options.version ?? 3),
    u64(options.tensorCount ?? tensors.length),
    u64(options.keyCount ?? keys.length),
    ...keys.map(([key, part]) => join(text(key), part)),
    ...tensors.map(({ name, dims, type, offset }) =>
      join(text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)),
    ),
  );
  const padding = new Uint8Array((32 - (header.length % 32)) % 32);
  return join(header, padding, options.data ?? new Uint8Array());
}
