import assert from 'node:assert/strict';
import { test } from 'node:test';
import { oomKills } from '../../../src/engines/oomKills.js';

/** Counts by files that there are. */
const count = (files: Readonly<Record<string, string>>): Promise<number | undefined> =>
  oomKills((file) => (file in files ? Promise.resolve(files[file]!) : Promise.reject(new Error('no such file'))));

test('version 2: the own group, else the one on top', async () => {
  const events = (kills: number): string => `low 0\noom 9\noom_kill ${kills}\noom_group_kill 5\n`;
  const groups = { '/proc/self/cgroup': '0::/user.slice/a:b\n', '/proc/vmstat': 'oom_kill 7\n' };
  const own = '/sys/fs/cgroup/user.slice/a:b/memory.events';
  assert.equal(await count({ ...groups, [own]: events(3), '/sys/fs/cgroup/memory.events': events(4) }), 3);
  assert.equal(await count({ ...groups, '/sys/fs/cgroup/memory.events': events(4) }), 4);
  assert.equal(await count(groups), 7, 'the machine where no group tells');
});

test('version 1: the group of the memory controller', async () => {
  const files = {
    '/proc/self/cgroup': '4:cpu,cpuacct:/x\n3:hugetlb,memory:/y\n',
    '/sys/fs/cgroup/memory/x/memory.oom_control': 'oom_kill 1\n',
    '/sys/fs/cgroup/memory/y/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
  };
  assert.equal(await count(files), 2);
});

test('nothing is told on other systems', async () => assert.equal(await count({}), undefined));
