import { createHash } from 'node:crypto';

/** Tells one base model from another by the tensors that a delta changes. */
export interface BaseHash {
  /** @param numbers the base's, as float32: a copy of it in another type that holds the same numbers has the same hash */
  add(name: string, numbers: Float32Array): void;
  /** SHA-256, hexadecimal. */
  end(): string;
}

/** A hash over names and numbers (little-endian float32), in the order in which they are added. */
export function baseHash(): BaseHash {
  const hash = createHash('sha256');
  return {
    add(name, numbers) {
      hash.update(`${name}\0`);
      hash.update(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
    },
    end: () => hash.digest('hex'),
  };
}
