import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { createEntry, liveFolder, livePlaces, readEntries } from '../../../src/engines/liveEntry.js';
import { eachLine } from '../../../src/engines/liveLines.js';
import { FOLLOW, lineOf, serveRun } from '../../../src/engines/liveServer.js';
import type { WorkerRequest } from '../../../src/engines/workerProtocol.js';
import type { RunEvent } from '../../../src/training/events.js';
import { temporaryFolder } from '../../support/adapters.js';

process.env['PEFT_STUDIO_RUNTIME_DIR'] = path.join(temporaryFolder(), 'live');

const said = (message: string): RunEvent => ({ type: 'log', level: 'info', message });

async function follow(id: string): Promise<{ client: net.Socket; lines: string[]; closed: Promise<void> }> {
  const client = net.connect(livePlaces(await liveFolder(), id).socket);
  const lines: string[] = [];
  eachLine(client, (line) => lines.push(line));
  const closed = new Promise<void>((resolve) => client.on('close', () => resolve()));
  client.write(`${FOLLOW}\n`);
  return { client, lines, closed };
}

test('who comes late to a run that told much gets all of it, and what is told meanwhile', async () => {
  const entry = await createEntry({ file: '/work/a.peft.yaml', overrides: [], resume: false });
  const asked: string[] = [];
  const listener = { request: ({ type }: WorkerRequest) => asked.push(type), abandoned: () => undefined };
  const channel = await serveRun(entry, listener, 5000);
  // More than a window may leave unread.
  const long = 'x'.repeat(2 ** 20);
  const count = 40;
  for (let at = 0; at < count; at++) channel.send(said(long));
  const { client, lines, closed } = await follow(entry.id);
  await new Promise((resolve) => client.once('data', resolve));
  channel.send(said('last'));
  const wishes = ['pause', 'checkpoint', 'continue', 'stop'] as const;
  for (const wish of wishes) client.write(`${lineOf(wish)}\n`);
  client.write('{"type":"train","file":"/other"}\n');
  await channel.close(0);
  await closed;
  assert.equal(lines.length, count + 3);
  assert.deepEqual(JSON.parse(lines[0]!), { type: 'live', pid: process.pid });
  assert.deepEqual(JSON.parse(lines.at(-2)!), said('last'));
  assert.deepEqual(JSON.parse(lines.at(-1)!), { type: 'exit', code: 0 });
  assert.deepEqual(asked, wishes);
  assert.deepEqual(await readEntries(), []);
});
