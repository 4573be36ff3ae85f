import * as l10n from '@vscode/l10n';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { RunEvent } from '../training/events.js';
import { eventOfLine } from '../training/soundEvent.js';
import { RUN_EVENTS } from './runFiles.js';

const CHUNK_BYTES = 2 ** 20;
/** A report on every matrix of a large model has some hundred kB; a file without lines is no record. */
const MAX_LINE_BYTES = 64 * 2 ** 20;
const NEWLINE = 0x0a;

/** Reads the events of a run as they are written. */
export interface RecordReader {
  /**
   * What was written since the last call. A last line without its end waits for the next call; lines that are no
   * events are passed over, as a kill leaves them.
   * @throws ProblemError `run.record` for a file without lines; the file system's error when it is not there
   */
  read(): Promise<Written>;
}

export interface Written {
  readonly events: readonly RunEvent[];
  /** The file is another one, or shorter, than it was: these are its events from the first on. */
  readonly again: boolean;
  /** When it was written last, in milliseconds since the epoch. */
  readonly modified: number;
}

/** Makes the reader of a run folder's `events.jsonl`; nothing is read yet. */
export function recordReader(runFolder: string): RecordReader {
  const file = path.join(runFolder, RUN_EVENTS);
  let position = 0;
  let identity: number | undefined;
  let rest: Buffer[] = [];

  /** Reads one chunk; the number of its bytes. */
  async function readChunk(handle: FileHandle, events: RunEvent[]): Promise<number> {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, position);
    position += bytesRead;
    let bytes = buffer.subarray(0, bytesRead);
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE)) {
      const event = eventOfLine(Buffer.concat([...rest, bytes.subarray(0, end)]).toString('utf8'));
      if (event) events.push(event);
      rest = [];
      bytes = bytes.subarray(end + 1);
    }
    if (bytes.length > 0) rest.push(bytes);
    if (rest.reduce((sum, { length }) => sum + length, 0) > MAX_LINE_BYTES) fail(noRecord(file));
    return bytesRead;
  }

  return {
    async read() {
      const handle = await open(file, 'r');
      try {
        const { ino, size, mtimeMs } = await handle.stat();
        const again = identity !== undefined && (identity !== ino || size < position);
        if (again) {
          position = 0;
          rest = [];
        }
        identity = ino;
        const events: RunEvent[] = [];
        while ((await readChunk(handle, events)) > 0);
        // A part of a line is no JSON; a whole one may lack its end, after a text editor.
        const last = eventOfLine(Buffer.concat(rest).toString('utf8'));
        if (last) {
          events.push(last);
          rest = [];
        }
        return { events, again, modified: mtimeMs };
      } finally {
        await handle.close();
      }
    },
  };
}

const noRecord = (file: string): Problem => ({
  code: 'run.record',
  message: l10n.t`the record of the run has a line of more than ${MAX_LINE_BYTES / 2 ** 20} MiB`,
  where: { file },
  expected: l10n.t`one event per line`,
  mend: l10n.t`Look whether another program wrote into that file.`,
});
