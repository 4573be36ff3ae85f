import { rm } from 'node:fs/promises';
import net from 'node:net';
import type { RunEvent } from '../training/events.js';
import type { Channel, Listener } from './channel.js';
import { createHistory } from './history.js';
import { liveFolder, livePlaces, removeEntry, writeEntry } from './liveEntry.js';
import type { LiveEntry } from './liveEntry.js';
import { eachLine } from './liveLines.js';
import { pastCurves } from './pastCurves.js';
import type { Wish } from './workerProtocol.js';

/** What the worker's socket tells beside events, as lines of JSON: first who it is, last how it ended. */
export type LiveNote =
  { readonly type: 'live'; readonly pid: number } | { readonly type: 'exit'; readonly code: number };

/**
 * A window that does not read, as one that is stopped in a debugger, is let go rather than waited for. What was told before
 * it came does not count: of a long run that alone is more.
 */
const MOST_UNREAD_BYTES = 32 * 2 ** 20;

/** Events of a long run in one text would be longer than a text can be. */
const BATCH = 1000;

/** How long an end waits for somebody who listens: a window that loads anew is back in a few seconds. */
const LINGER_MS = 30_000;

/**
 * Serves a run at its entry's socket: whoever connects gets what was told so far and then what is told. Clients come
 * and go without effect on the run. Of a run that is resumed they get the curves from its first step on.
 */
export async function serveRun(entry: LiveEntry, { request }: Listener, lingerMs = LINGER_MS): Promise<Channel> {
  const folder = await liveFolder();
  const { socket: address } = livePlaces(folder, entry.id);
  const history = createHistory();
  /** With the bytes that each may leave unread. */
  const clients = new Map<net.Socket, number>();
  let present = { ...entry, pid: process.pid };
  let arrived = (): void => undefined;

  const line = (value: RunEvent | LiveNote): string => `${JSON.stringify(value)}\n`;
  const server = net.createServer((client) => {
    client.on('close', () => clients.delete(client));
    client.on('error', () => client.destroy());
    eachLine(client, (text) => take(client, text), MAX_REQUEST_CHARACTERS);
  });

  /** Who only looks whether the run is there says nothing, and is nobody who listens. */
  function take(client: net.Socket, text: string): void {
    const wish = WISHES.get(text);
    if (wish !== undefined) request({ type: wish });
    if (text !== FOLLOW || clients.has(client)) return;
    const before = [{ type: 'live' as const, pid: process.pid }, ...history.events()];
    for (let at = 0; at < before.length; at += BATCH) {
      client.write(
        before
          .slice(at, at + BATCH)
          .map(line)
          .join(''),
      );
    }
    clients.set(client, client.writableLength + MOST_UNREAD_BYTES);
    arrived();
  }

  // A socket of a run that is gone, should the same id ever come again.
  if (process.platform !== 'win32') await rm(address, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, resolve);
  });
  await writeEntry(folder, present);

  function tellAll(event: RunEvent): void {
    history.add(event);
    if (clients.size === 0) return;
    const text = line(event);
    for (const [client, most] of clients) {
      if (client.writableLength > most) client.destroy();
      else client.write(text);
    }
  }

  return {
    send(event) {
      tellAll(event);
      if (event.type !== 'started') return;
      if (event.resumedFrom !== undefined) pastCurves(event.folder, event.resumedFrom).forEach(tellAll);
      present = { ...present, runFolder: event.folder };
      // A window that looks for it a moment too early looks again.
      void writeEntry(folder, present).catch(() => undefined);
    },
    async close(code) {
      if (clients.size === 0) {
        await new Promise<void>((resolve) => {
          arrived = resolve;
          setTimeout(resolve, lingerMs).unref();
        });
      }
      const ends = [...clients.keys()].map(
        (client) =>
          new Promise<void>((resolve) => client.once('close', () => resolve()).end(line({ type: 'exit', code }))),
      );
      server.close();
      await Promise.race([Promise.all(ends), new Promise((resolve) => setTimeout(resolve, 2000).unref())]);
      await removeEntry(entry.id);
    },
  };
}

/** What a client says: that it wants to be told, from the first event on. */
export const FOLLOW = JSON.stringify({ type: 'follow' });

/** What a client says to have the run do something. */
export function lineOf(wish: Wish): string {
  return JSON.stringify({ type: wish });
}

const WISHES: ReadonlyMap<string, Wish> = new Map(
  (['stop', 'pause', 'continue', 'checkpoint'] as const).map((wish) => [lineOf(wish), wish]),
);

const MAX_REQUEST_CHARACTERS = 1024;
