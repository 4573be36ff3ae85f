import * as l10n from '@vscode/l10n';
import { formatCount } from '../src/common/format.js';
import { button, make, setText } from './dom.js';

/** A slider over the steps at which something was told. */
export interface TimeSlider {
  readonly element: HTMLElement;
  /** The steps, ascending. At the last one the slider follows what is told next. */
  draw(steps: readonly number[]): void;
  /** Which of the steps is shown. */
  index(): number;
}

/** From one step to the next while it plays. */
const PLAY_MS = 150;
/** A run of many reports is played in about this many pictures. */
const PLAY_PICTURES = 80;

/** Makes the slider; calls back when another step is to be shown. */
export function createTimeSlider(onMove: () => void): TimeSlider {
  const range = make('input', {
    type: 'range',
    min: '0',
    max: '0',
    step: '1',
    'aria-label': l10n.t`Step`,
    class: 'time-range',
  });
  const text = make('span', { class: 'time-text' });
  const play = button(l10n.t`Play`, 'secondary', () => (timer === undefined ? start() : stop()));
  const follow = button(l10n.t`Latest`, 'secondary', () => {
    stop();
    go(steps.length - 1);
  });
  let steps: readonly number[] = [];
  let shown = -1;
  let isLast = true;
  let timer: number | undefined;

  function go(to: number): void {
    shown = Math.max(0, Math.min(steps.length - 1, to));
    isLast = shown === steps.length - 1;
    render();
    onMove();
  }

  function start(): void {
    const stride = Math.max(1, Math.round(steps.length / PLAY_PICTURES));
    if (shown >= steps.length - 1) go(0);
    timer = window.setInterval(() => {
      // A page in the background is not drawn.
      if (!range.isConnected) stop();
      go(shown + stride);
      if (shown >= steps.length - 1) stop();
    }, PLAY_MS);
    render();
  }

  function stop(): void {
    window.clearInterval(timer);
    timer = undefined;
    render();
  }

  function render(): void {
    if (!(range instanceof HTMLInputElement)) return;
    const step = formatCount(steps[shown] ?? 0);
    range.max = String(Math.max(0, steps.length - 1));
    range.value = String(shown);
    range.disabled = steps.length < 2;
    const [at, all] = [formatCount(shown + 1), formatCount(steps.length)];
    const said = isLast
      ? l10n.t`step ${step}, report ${at} of ${all}, the latest`
      : l10n.t`step ${step}, report ${at} of ${all}`;
    range.setAttribute('aria-valuetext', said);
    setText(text, said);
    setText(play, timer === undefined ? l10n.t`Play` : l10n.t`Stop`);
    play.toggleAttribute('disabled', steps.length < 2);
    follow.toggleAttribute('disabled', isLast);
  }

  range.addEventListener('input', () => {
    if (!(range instanceof HTMLInputElement)) return;
    const wanted = Number(range.value);
    stop();
    go(wanted);
  });
  return {
    element: make('div', { class: 'time' }, play, range, follow, text),
    draw(next) {
      const before = steps[shown];
      const isSame = steps.length === next.length && before === next[shown];
      steps = next;
      if (isSame) return;
      if (isLast || before === undefined) shown = steps.length - 1;
      // What is shown stays, also when reports before it are thinned out.
      else
        shown = Math.max(
          0,
          steps.findLastIndex((step) => step <= before),
        );
      isLast = shown === steps.length - 1;
      render();
    },
    index: () => shown,
  };
}
