/** Allocations are multiples of this (BFCArena::kMinAllocationSize). */
const GRAIN = 256;
/** The first region; each further one is twice as large as the one before, up to a limit. */
const FIRST_REGION = 2 ** 20;
const LARGEST_DOUBLING = 2 ** 30;
/** A chunk that is larger than asked by this much is cut, even if it is not twice as large. */
const MOST_DEAD = 128 * 2 ** 20;
const BINS = 21;
/** What the system hands out at a time. */
const PAGE = 4096;

/** A piece of a region, taken or free. */
interface Chunk {
  readonly region: number;
  start: number;
  size: number;
  free: boolean;
  before: Chunk | undefined;
  after: Chunk | undefined;
}

/** Memory that ONNX Runtime took from the system and keeps until its session ends. */
export interface Arena {
  /** Takes a piece; zero bytes take none. */
  take(bytes: number): Chunk | undefined;
  giveBack(chunk: Chunk | undefined): void;
  /** Bytes of pages that were ever written to: what of the regions is resident. */
  touched(): number;
  /** Bytes of all regions, written to or not. */
  readonly reserved: () => number;
}

/**
 * ONNX Runtime's arena (BFCArena, best fit with coalescing), with the CPU's settings: regions that double, the smallest
 * free chunk that is large enough, cut when it is at least twice as large as asked. Pages of a region become resident
 * when they are first written to; none is ever given back.
 */
export function createArena(): Arena {
  const bins: Chunk[][] = Array.from({ length: BINS }, () => []);
  const pages: Uint8Array[] = [];
  let next = FIRST_REGION;
  let reserved = 0;
  let touched = 0;

  const insert = (chunk: Chunk): void => {
    chunk.free = true;
    const bin = bins[binOf(chunk.size)]!;
    bin.splice(placeIn(bin, chunk), 0, chunk);
  };
  const remove = (chunk: Chunk): void => {
    const bin = bins[binOf(chunk.size)]!;
    bin.splice(placeIn(bin, chunk), 1);
    chunk.free = false;
  };
  const extend = (bytes: number): void => {
    let doubled = false;
    while (bytes > next) {
      next *= 2;
      doubled = true;
    }
    pages.push(new Uint8Array(Math.ceil(next / PAGE)));
    reserved += next;
    insert({ region: pages.length - 1, start: 0, size: next, free: true, before: undefined, after: undefined });
    if (!doubled) next = Math.min(next * 2, LARGEST_DOUBLING);
  };
  const find = (bytes: number): Chunk | undefined => {
    for (let at = binOf(bytes); at < BINS; at++) {
      const bin = bins[at]!;
      const found = bin[firstOf(bin, bytes)];
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const cut = (chunk: Chunk, bytes: number): void => {
    const rest: Chunk = {
      region: chunk.region,
      start: chunk.start + bytes,
      size: chunk.size - bytes,
      free: true,
      before: chunk,
      after: chunk.after,
    };
    if (chunk.after !== undefined) chunk.after.before = rest;
    chunk.after = rest;
    chunk.size = bytes;
    insert(rest);
  };
  const touch = ({ region, start }: Chunk, bytes: number): void => {
    const wanted = pages[region]!.subarray(Math.floor(start / PAGE), Math.ceil((start + bytes) / PAGE));
    // Most were touched before: looking for one that was not is faster than going through them.
    const first = wanted.indexOf(0);
    if (first < 0) return;
    for (let page = first; page < wanted.length; page++) {
      if (wanted[page] === 0) {
        wanted[page] = 1;
        touched += PAGE;
      }
    }
  };
  return {
    take(bytes) {
      if (bytes === 0) return undefined;
      const rounded = GRAIN * Math.ceil(bytes / GRAIN);
      if (find(rounded) === undefined) extend(rounded);
      const chunk = find(rounded)!;
      remove(chunk);
      if (chunk.size >= 2 * rounded || chunk.size - rounded >= MOST_DEAD) cut(chunk, rounded);
      touch(chunk, bytes);
      return chunk;
    },
    giveBack(chunk) {
      if (chunk === undefined) return;
      const { after, before } = chunk;
      if (after?.free === true) {
        remove(after);
        join(chunk, after);
      }
      if (before?.free === true) {
        remove(before);
        join(before, chunk);
        insert(before);
      } else {
        insert(chunk);
      }
    },
    touched: () => touched,
    reserved: () => reserved,
  };
}

function join(left: Chunk, right: Chunk): void {
  left.size += right.size;
  left.after = right.after;
  if (right.after !== undefined) right.after.before = left;
}

function binOf(bytes: number): number {
  return Math.min(BINS - 1, Math.floor(Math.log2(Math.max(1, Math.floor(bytes / GRAIN)))));
}

/** Where a chunk stands, or would stand, in a bin: by size, then by place. */
function placeIn(bin: readonly Chunk[], { size, region, start }: Chunk): number {
  let [low, high] = [0, bin.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = bin[middle]!;
    const isBefore = other.size - size || (other.region === region ? other.start - start : other.region - region);
    if (isBefore < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The first chunk of a bin that has room. */
function firstOf(bin: readonly Chunk[], bytes: number): number {
  let [low, high] = [0, bin.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bin[middle]!.size < bytes) low = middle + 1;
    else high = middle;
  }
  return low;
}
