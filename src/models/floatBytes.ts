import { f32ToBf16, f32ToF16 } from './floatFormats.js';

/** How float32 values are stored in a file. */
export type FloatType = 'F32' | 'F16' | 'BF16';

/** The bytes of values as a file of this type holds them. */
export function floatBytes(values: Float32Array, dtype: FloatType): Uint8Array {
  switch (dtype) {
    case 'F16':
      return bytesOf(f32ToF16(values));
    case 'BF16':
      return bytesOf(f32ToBf16(values));
    case 'F32':
      return bytesOf(values);
  }
}

/** The bytes that an array is a view of. */
export function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Int32Array | Uint16Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
