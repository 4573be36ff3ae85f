import * as l10n from '@vscode/l10n';
import type { LogLevel } from '../src/training/describeEvent.js';
import { button, make, setShown } from './dom.js';
import type { RunLog } from './runModel.js';
import { makeDropdown } from './toolkit.js';
import type { Page, View } from './view.js';

/** What happened, as lines: what was found before the first step, evaluations, checkpoints, warnings, what the worker printed. */
export function createLogView({ send, ask }: Page): View {
  let filter = 'all';
  let drawn: RunLog | undefined;
  /** Lines of the run that are drawn. */
  let end = 0;
  const filters = makeDropdown(l10n.t`Lines`, (chosen) => {
    filter = chosen;
    if (drawn) drawAll(drawn);
  });
  filters.setOptions(
    [
      { key: 'all', title: l10n.t`all` },
      { key: 'serious', title: l10n.t`warnings and errors` },
    ],
    filter,
  );
  const empty = make('p', { class: 'muted' }, l10n.t`Nothing to tell yet.`);
  // Not read out line by line: a screen reader goes through it when it is wanted.
  const list = make('ol', { class: 'log', 'aria-label': l10n.t`Log of the run`, tabindex: '0' });
  const copy = button(l10n.t`Copy`, 'secondary', () => {
    const text = (drawn?.lines ?? []).filter(({ level }) => passes(level)).map(asText);
    void ask('copyText', { text: text.join('\n') });
  });
  const showLog = button(l10n.t`Show Log`, 'secondary', () => send({ type: 'showLog' }));
  showLog.title = l10n.t`The whole log of this window`;

  const passes = (level: LogLevel): boolean => filter === 'all' || level === 'warning' || level === 'error';

  function drawAll(log: RunLog): void {
    list.replaceChildren(...log.lines.filter(({ level }) => passes(level)).map(item));
    end = log.dropped + log.lines.length;
  }

  return {
    element: make(
      'div',
      { class: 'tab' },
      make('div', { class: 'choices' }, filters.element, copy, showLog),
      empty,
      list,
    ),
    draw({ log }) {
      setShown(empty, log.lines.length === 0);
      setShown(list, log.lines.length > 0);
      const last = log.dropped + log.lines.length;
      if (log === drawn && end === last) return;
      const following = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
      // What made room is taken off when the page draws all again.
      if (log !== drawn || end < log.dropped) drawAll(log);
      else
        list.append(
          ...log.lines
            .slice(end - log.dropped)
            .filter(({ level }) => passes(level))
            .map(item),
        );
      end = last;
      drawn = log;
      if (following) list.scrollTop = list.scrollHeight;
    },
  };
}

type Line = RunLog['lines'][number];

/** The level is said in words: colour is not its only sign. */
function item(line: Line): HTMLElement {
  return make('li', { class: `log-${line.level}` }, asText(line));
}

function asText({ level, text }: Line): string {
  if (level === 'warning') return l10n.t`warning: ${text}`;
  return level === 'error' ? l10n.t`error: ${text}` : text;
}
