import { fileName } from '../src/common/fileName.js';
import { formatCount, formatDuration, formatPercent, formatTick } from '../src/common/format.js';
import type { Place, Problem } from '../src/common/problem.js';
import { wasStoppedEarly } from '../src/engines/runState.js';
import type { RunState } from '../src/engines/runState.js';
import { button, make, setShown, tile } from './dom.js';
import type { Send, View } from './view.js';

/** How the run ended: the adapter and its metrics, or the problem and what to do about it. */
export function createEndView(send: Send): View {
  const element = make('section', { 'aria-label': 'How the run ended', role: 'status' });
  let drawn: RunState | undefined;
  return {
    element,
    draw(_model, state) {
      if (state === drawn) return;
      drawn = state;
      setShown(element, state.kind === 'finished' || state.kind === 'failed');
      element.className = `end end-${wasStoppedEarly(state) ? 'stopped' : state.kind}`;
      if (state.kind === 'failed') {
        element.replaceChildren(
          ...[state.problem, ...state.others].flatMap((problem) => problemParts(problem, send)),
        );
      } else if (state.kind === 'finished') element.replaceChildren(...finishedParts(state, send));
      else element.replaceChildren();
    },
  };
}

/** A problem's sentences, its place and the buttons that help. */
export function problemParts(problem: Problem, send: Send): Node[] {
  const { where } = problem;
  const parts: Node[] = [make('p', { class: 'problem' }, problem.message)];
  if (problem.expected !== undefined) parts.push(make('p', {}, `Expected: ${problem.expected}`));
  if (problem.mend !== undefined) parts.push(make('p', {}, problem.mend));
  parts.push(
    make(
      'div',
      { class: 'buttons' },
      ...(where
        ? [button(`Open ${placeName(where)}`, 'primary', () => send({ type: 'openPlace', place: where }))]
        : []),
      button('Show Log', 'secondary', () => send({ type: 'showLog' })),
    ),
  );
  return parts;
}

function placeName({ file, line }: Place): string {
  const name = fileName(file);
  return line === undefined ? name : `${name}:${line}`;
}

function finishedParts(state: Extract<RunState, { kind: 'finished' }>, send: Send): Node[] {
  const { result, note } = state;
  const how = result.reason === 'completed' ? 'Finished' : 'Stopped on request';
  const metrics = Object.entries(result.metrics).map(([name, value]) =>
    // Names are eval_loss, eval_token_accuracy, …; with spaces they break at words.
    tile(name.replaceAll('_', ' '), name.endsWith('accuracy') ? formatPercent(value) : formatTick(value)),
  );
  return [
    make('p', {}, `${how} after ${formatCount(result.steps)} steps and ${formatDuration(result.seconds)}.`),
    ...(note === undefined ? [] : [make('p', { class: 'problem' }, note)]),
    make('p', {}, 'Adapter: ', make('code', {}, result.adapter)),
    ...(metrics.length > 0 ? [make('dl', { class: 'tiles' }, ...metrics)] : []),
    make(
      'div',
      { class: 'buttons' },
      button('Open Playground', 'primary', () => send({ type: 'openPlayground' })),
      button('Reveal Adapter', 'secondary', () => send({ type: 'revealAdapter' })),
    ),
  ];
}
