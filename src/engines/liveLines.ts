import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/** An event with a rank per module of a large model has some hundred kB. */
const MAX_LINE_CHARACTERS = 64 * 2 ** 20;

/**
 * Calls `take` for each whole line of a stream; a line longer than `most` characters ends the stream instead of filling
 * memory.
 */
export function eachLine(stream: Readable, take: (line: string) => void, most = MAX_LINE_CHARACTERS): void {
  const decoder = new StringDecoder('utf8');
  let rest: string[] = [];
  let length = 0;
  stream.on('data', (chunk: Buffer) => {
    const [first = '', ...lines] = decoder.write(chunk).split('\n');
    rest.push(first);
    length += first.length;
    for (const line of lines) {
      take(rest.join(''));
      rest = [line];
      length = line.length;
    }
    if (length > most) stream.destroy();
  });
}
