import { readFileSync } from 'node:fs';

/** Memory of this process, in bytes. */
export interface MeasuredMemory {
  readonly resident: number;
  /** Pages that belong to files, such as mapped weights: the system can drop them under pressure. */
  readonly fileBacked: number;
  readonly anonymous: number;
  readonly peakResident: number;
}

/** Reads the kernel's figures on Linux; elsewhere resident memory alone is known, and counts as anonymous. */
export function measureMemory(): MeasuredMemory {
  const status = processStatus();
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

function processStatus(): string | undefined {
  try {
    return readFileSync('/proc/self/status', 'utf8');
  } catch {
    return undefined;
  }
}
