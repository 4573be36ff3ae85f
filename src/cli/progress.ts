import type { Output } from './io.js';

/** What is being done and how far it is. */
export interface ProgressState {
  readonly activity: string;
  readonly done: number;
  /** 0 = unknown: no bar. */
  readonly total: number;
  /** Shown behind the bar: loss, rate, time left. */
  readonly detail?: string;
}

/** One line of a terminal that is written over and over; elsewhere each new activity is a line of its own. */
export interface Progress {
  /** Whether a line is rewritten at all: where not, whoever has more to say prints lines. */
  readonly live: boolean;
  readonly update: (state: ProgressState) => void;
  /** Runs `print` with the line out of the way. */
  readonly aside: (print: () => void) => void;
  /** Takes the line away; an update brings it back. */
  readonly end: () => void;
}

/** How progress is told: to a person, or to a program that started this one. */
export type ProgressForm = 'text' | 'json';

/** Redrawing more often than this is not seen. */
const REDRAW_MS = 80;
const WIDEST_BAR = 40;
const NARROWEST_BAR = 8;
/** Where a terminal does not tell its width. */
const USUAL_COLUMNS = 80;

const ERASE_LINE = '\r\u001b[2K';

/**
 * @param output standard error: a terminal gets the rewritten line, anything else a line per activity
 * @param now milliseconds, to bound how often the line is rewritten
 * @param form `json`: each state is one JSON object on a line of its own, whatever the output is
 */
export function createProgress(
  output: Output,
  now: () => number = Date.now,
  form: ProgressForm = 'text',
): Progress {
  return form === 'json' ? progressAsJson(output, now) : progressAsText(output, now);
}

/** Lines that {@link ProgressState} is read back from. */
function progressAsJson(output: Output, now: () => number): Progress {
  let shown: ProgressState | undefined;
  let shownAt = -Infinity;
  return {
    live: true,
    update(next) {
      const same = next.activity === shown?.activity;
      if (same && next.done !== next.total && now() - shownAt < REDRAW_MS) return;
      shown = next;
      shownAt = now();
      output.write(`${JSON.stringify(next)}\n`);
    },
    aside: (print) => print(),
    end: () => (shown = undefined),
  };
}

function progressAsText(output: Output, now: () => number): Progress {
  const live = output.isTTY === true && process.env['TERM'] !== 'dumb';
  let state: ProgressState | undefined;
  let drawnAt = -Infinity;
  const draw = (): void => {
    if (state === undefined) return;
    drawnAt = now();
    output.write(ERASE_LINE + renderProgress(state, (output.columns ?? USUAL_COLUMNS) - 1));
  };
  const erase = (): void => {
    if (live && state !== undefined) output.write(ERASE_LINE);
  };
  return {
    live,
    update(next) {
      const same = next.activity === state?.activity;
      state = next;
      if (!live) {
        if (!same) output.write(`${next.activity}\n`);
        return;
      }
      if (!same || next.done === next.total || now() - drawnAt >= REDRAW_MS) draw();
    },
    aside(print) {
      erase();
      print();
      if (live) draw();
    },
    end() {
      erase();
      state = undefined;
    },
  };
}

/** `activity  ████░░░░  3/9  detail` in at most `columns` characters; the bar gives way first. */
export function renderProgress({ activity, done, total, detail }: ProgressState, columns: number): string {
  const before = `${activity}  `;
  const after = [total > 0 ? `${done}/${total}` : '', detail ?? ''].filter((part) => part !== '').join('  ');
  const room = columns - [...before].length - [...after].length - 2;
  const width = Math.min(WIDEST_BAR, room);
  const bar = total > 0 && width >= NARROWEST_BAR ? `${drawBar(done / total, width)}  ` : '';
  return [...`${before}${bar}${after}`.trimEnd()].slice(0, Math.max(0, columns)).join('');
}

function drawBar(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}
