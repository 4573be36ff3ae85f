import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { BrokenRow } from './row.js';

/** Longest line read: far above any row that fits a context window, far below what would exhaust memory. */
export const MAX_LINE_BYTES = 16 * 2 ** 20;

export interface Line {
  readonly line: number;
  readonly text: string;
}

/**
 * Splits bytes into lines, at most {@link MAX_LINE_BYTES} of them held at once. Always UTF-8, whatever the
 * system's locale; byte-order marks and the carriage returns of CRLF are taken off. A line that is not valid
 * UTF-8 comes as a broken row. Throws `data.line-too-long` and `data.not-utf8` (UTF-16).
 */
export async function* readLines(
  bytes: AsyncIterable<Uint8Array>,
  file: string,
): AsyncGenerator<Line | BrokenRow> {
  let parts: Uint8Array[] = [];
  let length = 0;
  let line = 1;
  const take = (): Line | BrokenRow => {
    const whole = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    parts = [];
    length = 0;
    if (line === 1) refuseUtf16(whole, file);
    return decodeLine(whole, line++);
  };
  for await (const chunk of bytes) {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      const part = chunk.subarray(start, end < 0 ? chunk.length : end);
      length += part.length;
      if (length > MAX_LINE_BYTES) {
        fail({
          code: 'data.line-too-long',
          message: l10n.t`the line is longer than ${MAX_LINE_BYTES / 2 ** 20} MiB`,
          where: { file, line },
          expected: l10n.t`one row per line`,
          mend: l10n.t`Split the row, or check that the file is what its extension says.`,
        });
      }
      parts.push(part);
      if (end < 0) break;
      yield take();
      start = end + 1;
    }
  }
  if (length > 0) yield take();
}

const NEWLINE = 0x0a;

function decodeLine(bytes: Uint8Array, line: number): Line | BrokenRow {
  const text = decodeUtf8(bytes);
  if (text === undefined) return { line, reason: l10n.t`invalid UTF-8` };
  return { line, text: text.endsWith('\r') ? text.slice(0, -1) : text };
}

/** Text of UTF-8 bytes without a leading byte-order mark; undefined when they are not valid UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Notepad and Windows PowerShell's `>` write UTF-16; its byte-order mark tells. */
export function refuseUtf16(start: Uint8Array, file: string): void {
  const mark = ((start[0] ?? 0) << 8) | (start[1] ?? 0);
  if (mark !== 0xfffe && mark !== 0xfeff) return;
  fail({
    code: 'data.not-utf8',
    message: l10n.t`the file is UTF-16`,
    where: { file, line: 1 },
    expected: 'UTF-8',
    mend: l10n.t`Save it as UTF-8 (in VS Code: "Save with Encoding").`,
  });
}
