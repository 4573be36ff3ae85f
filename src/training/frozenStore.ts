import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';

/** Many float32 numbers, in memory or in a file, by their place among all. */
export interface FrozenStore {
  write(at: number, numbers: Float32Array): void;
  /** Fills `into` with the numbers from a place on. */
  read(at: number, into: Float32Array): void;
  close(): Promise<void>;
}

const BYTES = 4;

type Move = (handle: number, bytes: Uint8Array, offset: number, length: number, position: number) => number;

/** @throws RangeError where memory does not suffice */
export function storeInMemory(count: number): FrozenStore {
  const all = new Float32Array(count);
  return {
    write: (at, numbers) => all.set(numbers, at),
    read: (at, into) => into.set(all.subarray(at, at + into.length)),
    close: () => Promise.resolve(),
  };
}

/** The file goes when the store is closed. @throws an error of the file system, such as ENOSPC */
export function storeInFile(file: string): FrozenStore {
  const handle = openSync(file, 'w+');
  /** A call may move less than it was asked for. */
  const whole = (move: Move, at: number, numbers: Float32Array): void => {
    const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
    for (let done = 0; done < bytes.length;) {
      const moved = move(handle, bytes, done, bytes.length - done, at * BYTES + done);
      if (moved === 0) throw new Error(`${file} ends too early`);
      done += moved;
    }
  };
  return {
    write: (at, numbers) => whole(writeSync, at, numbers),
    read: (at, into) => whole(readSync, at, into),
    async close() {
      closeSync(handle);
      await rm(file, { force: true });
    },
  };
}
