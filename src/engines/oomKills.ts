import { readFile } from 'node:fs/promises';
import path from 'node:path';

/**
 * How many processes the kernel's out-of-memory killer has ended so far: in this process's control group, which is
 * also that of the processes it starts, or on the whole machine. Undefined where neither is told (not on Linux).
 */
export async function oomKills(read: (file: string) => Promise<string> = readText): Promise<number | undefined> {
  const groups = await read('/proc/self/cgroup').catch(() => '');
  for (const file of [...groups.split('\n').flatMap(counterFiles), '/proc/vmstat']) {
    const count = /^oom_kill (\d+)$/m.exec(await read(file).catch(() => ''))?.[1];
    if (count !== undefined) return Number(count);
  }
  return undefined;
}

/** Whether it ended any since there were `before`; undefined where that is not told. */
export async function killedSince(before: number | undefined): Promise<boolean | undefined> {
  const now = await oomKills();
  return before === undefined || now === undefined ? undefined : now > before;
}

/** Where a control group counts: of a container the path is often the host's, and the container's own group is on top. */
function counterFiles(line: string): readonly string[] {
  const [, controllers, ...rest] = line.split(':');
  const group = rest.join(':');
  if (controllers === '') return inGroup('/sys/fs/cgroup', group, 'memory.events');
  if (controllers?.split(',').includes('memory') !== true) return [];
  return inGroup('/sys/fs/cgroup/memory', group, 'memory.oom_control');
}

function inGroup(top: string, group: string, file: string): readonly string[] {
  return [path.posix.join(top, group, file), path.posix.join(top, file)];
}

function readText(file: string): Promise<string> {
  return readFile(file, 'utf8');
}
