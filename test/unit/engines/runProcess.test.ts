import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { checkNotRunning } from '../../../src/engines/runProcess.js';

const folder = mkdtempSync(path.join(tmpdir(), 'peft-process-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Says that a process works on the run. */
function note(pid: number): void {
  writeFileSync(path.join(folder, 'worker.pid'), `${pid} ${hostname()}\n`);
}

test('a process that is there holds the run', async () => {
  note(process.ppid);
  await assert.rejects(checkNotRunning(folder), /the run is still going/);
});

test(
  'a process that has ended, though its parent has not heard of it, holds nothing',
  { skip: process.platform !== 'linux' },
  async () => {
    // `sleep`, which takes the shell's place, never asks for the shell's child.
    const parent = spawn('sh', ['-c', 'true & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const [line] = (await once(createInterface(parent.stdout), 'line')) as [string];
    note(Number(line));
    await checkNotRunning(folder);
    parent.kill();
  },
);

test('a process that goes while it is asked about is waited for', async () => {
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => undefined, 60_000)'], { stdio: 'ignore' });
  note(child.pid!);
  setTimeout(() => child.kill('SIGKILL'), 300);
  await checkNotRunning(folder);
});
