import { readFileSync } from 'node:fs';
import type { MeasuredMemory, MeasuredParts } from './events.js';
import type { State } from './state.js';

/** Memory of this process: the kernel's figures on Linux; elsewhere resident memory alone is known. */
export function measureMemory(): MeasuredMemory {
  const status = ownFile('status');
  if (status === undefined) {
    const resident = process.memoryUsage.rss();
    const peakResident = 1024 * process.resourceUsage().maxRSS;
    return { resident, fileBacked: 0, anonymous: resident, peakResident };
  }
  const bytes = (key: string): number =>
    1024 * Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  return {
    resident: bytes('VmRSS'),
    fileBacked: bytes('RssFile'),
    anonymous: bytes('RssAnon'),
    peakResident: bytes('VmHWM'),
  };
}

/** Measures the parts of this process's memory in the course of a run. What is there when it is made is `native`. */
export interface MemoryMeter {
  /** Counts what some work leaves, beside JavaScript's memory, as `native`: compiling graphs, before any pass. */
  native<Result>(work: () => Promise<Result>): Promise<Result>;
  /** @param held bytes of the numbers that the run changes */
  measure(held: State['bytes']): MeasuredMemory & { readonly parts: MeasuredParts };
}

/** @param weightFiles paths of the files whose weights are mapped, as the system names them (real paths) */
export function createMemoryMeter(weightFiles: Iterable<string>): MemoryMeter {
  const files = new Set(weightFiles);
  let native = nativeBytes();
  return {
    async native(work) {
      const before = nativeBytes();
      const result = await work();
      native += Math.max(0, nativeBytes() - before);
      return result;
    },
    measure(held) {
      const memory = measureMemory();
      const { heapTotal, external } = process.memoryUsage();
      const known = Object.values(held).reduce((sum, bytes) => sum + bytes, 0);
      const node = heapTotal + Math.max(0, external - known);
      const mappings = ownFile('smaps');
      if (mappings === undefined) return { ...memory, parts: { ...held, node } };
      const mappedWeights = mappedBytes(mappings, files);
      return {
        ...memory,
        parts: {
          mappedWeights,
          program: memory.resident - memory.anonymous - mappedWeights,
          ...held,
          graph: Math.max(0, memory.anonymous - known - node - native),
          node,
          native,
        },
      };
    },
  };
}

function nativeBytes(): number {
  const { heapTotal, external } = process.memoryUsage();
  return Math.max(0, measureMemory().anonymous - heapTotal - external);
}

/**
 * Resident bytes of the mappings of some files that belong to the files: pages that were written to are copies.
 * @param mappings the text of `/proc/PID/smaps`: a line per mapping, and below it lines `Key: N kB`
 */
export function mappedBytes(mappings: string, files: ReadonlySet<string>): number {
  let kilobytes = 0;
  let isWanted = false;
  for (const line of mappings.split('\n')) {
    const [, file] = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)$/.exec(line) ?? [];
    if (file !== undefined) {
      isWanted = files.has(file);
      continue;
    }
    if (!isWanted) continue;
    const [, key, count] = /^(Rss|Anonymous): +(\d+) kB$/.exec(line) ?? [];
    if (key !== undefined) kilobytes += (key === 'Rss' ? 1 : -1) * Number(count);
  }
  return 1024 * kilobytes;
}

function ownFile(name: string): string | undefined {
  try {
    return readFileSync(`/proc/self/${name}`, 'utf8');
  } catch {
    return undefined;
  }
}
