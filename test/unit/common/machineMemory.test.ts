import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  environmentOf,
  limitProblem,
  linuxMemory,
  machineMemory,
  vmStatFree,
} from '../../../src/common/machineMemory.js';

const KIB = 1024;
const GIB = 1024 ** 3;
const MEMINFO = [
  'MemTotal:       16777216 kB',
  'MemFree:         1048576 kB',
  'MemAvailable:    8388608 kB',
  'Buffers:           19744 kB',
].join('\n');

/** A system that has only these files. */
function system(files: Readonly<Record<string, string>>) {
  const all = { '/proc/meminfo': MEMINFO, ...files };
  return linuxMemory((file) => Promise.resolve(new Map(Object.entries(all)).get(file)));
}

test('the kernel tells what is available, not what is unused', async () => {
  assert.deepEqual(await system({}), { free: 8388608 * KIB, total: 16777216 * KIB, bound: 'machine' });
  assert.equal(await system({ '/proc/meminfo': 'MemTotal: 1 kB' }), undefined);
});

test('a container of cgroup v2 has its limit less what it holds, pages of files left out', async () => {
  const stat = ['anon 1073741824', 'file 3221225472', 'inactive_file 1073741824', 'active_file 536870912'].join(
    '\n',
  );
  const found = await system({
    '/proc/self/cgroup': '0::/\n',
    '/sys/fs/cgroup/memory.max': `${4 * GIB}\n`,
    '/sys/fs/cgroup/memory.current': `${3 * GIB}\n`,
    '/sys/fs/cgroup/memory.stat': stat,
  });
  assert.deepEqual(found, { free: 2.5 * GIB, total: 4 * GIB, bound: 'container' });
});

test('a group above may have less left than the group itself', async () => {
  const found = await system({
    '/proc/self/cgroup': '0::/user.slice/user-1000.slice/app.scope\n',
    '/sys/fs/cgroup/user.slice/user-1000.slice/app.scope/memory.max': 'max\n',
    '/sys/fs/cgroup/user.slice/user-1000.slice/app.scope/memory.current': '1024\n',
    '/sys/fs/cgroup/user.slice/user-1000.slice/memory.max': `${6 * GIB}\n`,
    '/sys/fs/cgroup/user.slice/user-1000.slice/memory.current': `${1 * GIB}\n`,
    '/sys/fs/cgroup/user.slice/memory.max': `${3 * GIB}\n`,
    '/sys/fs/cgroup/user.slice/memory.current': `${2 * GIB}\n`,
  });
  assert.deepEqual(found, { free: 1 * GIB, total: 3 * GIB, bound: 'container' });
});

test('cgroup v1: the path may be the host’s, then the top group is that of the container', async () => {
  const found = await system({
    '/proc/self/cgroup': '5:devices:/\n4:cpu,memory:/docker/3c0a\n0::/\n',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes': `${2 * GIB}\n`,
    '/sys/fs/cgroup/memory/memory.usage_in_bytes': `${1 * GIB}\n`,
    '/sys/fs/cgroup/memory/memory.stat':
      'cache 5\ninactive_file 7\ntotal_inactive_file 268435456\ntotal_active_file 0\n',
  });
  assert.deepEqual(found, { free: 1.25 * GIB, total: 2 * GIB, bound: 'container' });
});

test('a limit that is no limit changes nothing, and a group that holds more than its limit has nothing free', async () => {
  const group = (limit: string, used: number) =>
    system({
      '/proc/self/cgroup': '4:memory:/\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': limit,
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': String(used),
    });
  assert.equal((await group('9223372036854771712', GIB))?.bound, 'machine');
  assert.equal((await group(String(GIB), 2 * GIB))?.free, 0);
});

test('macOS: pages that are free, and those that it gives back at once', () => {
  const text = [
    'Mach Virtual Memory Statistics: (page size of 16384 bytes)',
    'Pages free:                                3632.',
    'Pages active:                            411207.',
    'Pages inactive:                          406890.',
    'Pages speculative:                         3278.',
    'Pages wired down:                        151297.',
  ].join('\n');
  assert.equal(vmStatFree(text), 16384 * (3632 + 406890 + 3278));
  assert.equal(vmStatFree('vm_stat: not found'), undefined);
});

test('this machine has some, and a limit bounds it', async () => {
  const measured = await machineMemory(Number.MAX_SAFE_INTEGER);
  assert.ok(measured.free > 0 && measured.free <= measured.total);
  assert.deepEqual(await machineMemory(1), { free: 1, total: 1, bound: 'limit' });
  process.env['PEFT_STUDIO_MEMORY_LIMIT'] = '0.001';
  try {
    assert.equal((await machineMemory()).free, 0.001 * GIB);
    process.env['PEFT_STUDIO_MEMORY_LIMIT'] = 'much';
    assert.notEqual((await machineMemory()).bound, 'limit');
  } finally {
    delete process.env['PEFT_STUDIO_MEMORY_LIMIT'];
  }
});

test('a process that is started is limited by its environment', async () => {
  assert.deepEqual(environmentOf(undefined), {});
  const [[name, value] = []] = Object.entries(environmentOf(1.5 * GIB));
  process.env[name!] = value!;
  try {
    assert.equal(limitProblem(), undefined);
    const { free, bound } = await machineMemory();
    assert.ok(bound === 'limit' ? free === 1.5 * GIB : free <= 1.5 * GIB);
    process.env[name!] = 'abc';
    assert.equal(limitProblem()?.code, 'memory.limit-variable');
  } finally {
    delete process.env[name!];
  }
});
