import * as l10n from '@vscode/l10n';
import { fileName } from '../src/common/fileName.js';
import { formatCount, formatDuration, formatPercent, formatTick } from '../src/common/format.js';
import type { Place, Problem } from '../src/common/problem.js';
import { wasStoppedEarly } from '../src/engines/runState.js';
import type { RunState } from '../src/engines/runState.js';
import type { Finished } from '../src/training/events.js';
import { button, make, setShown, tile } from './dom.js';
import { metricName } from './names.js';
import type { Send, View } from './view.js';

/** How the run ended: the adapter and its metrics, or the problem and what to do about it. */
export function createEndView(send: Send): View {
  const element = make('section', { 'aria-label': l10n.t`How the run ended`, role: 'status' });
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
  if (problem.expected !== undefined) parts.push(make('p', {}, l10n.t`Expected: ${problem.expected}`));
  if (problem.mend !== undefined) parts.push(make('p', {}, problem.mend));
  parts.push(
    make(
      'div',
      { class: 'buttons' },
      ...(where
        ? [button(l10n.t`Open ${placeName(where)}`, 'primary', () => send({ type: 'openPlace', place: where }))]
        : []),
      button(l10n.t`Show Log`, 'secondary', () => send({ type: 'showLog' })),
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
  const facts = Object.entries(result.metrics).map(([name, value]) =>
    tile(metricName(name), name.endsWith('accuracy') ? formatPercent(value) : formatTick(value)),
  );
  return [
    make(
      'div',
      { class: 'end-row' },
      make('p', {}, endText(result)),
      make(
        'div',
        { class: 'buttons' },
        button(l10n.t`Open Playground`, 'primary', () => send({ type: 'openPlayground' })),
        button(l10n.t`Reveal Adapter`, 'secondary', () => send({ type: 'revealAdapter' })),
      ),
    ),
    ...(note === undefined ? [] : [make('p', { class: 'problem' }, note)]),
    ...(facts.length > 0 ? [make('dl', { class: 'facts' }, ...facts)] : []),
    make('p', { class: 'subject' }, l10n.t`Adapter:`, ' ', make('code', {}, result.adapter)),
  ];
}

function endText({ reason, steps, seconds }: Finished): string {
  const [step, time] = [formatCount(steps), formatDuration(seconds)];
  switch (reason) {
    case 'completed':
      return l10n.t`Finished at step ${step}, after ${time}.`;
    case 'early-stopped':
      return l10n.t`Finished early at step ${step}, after ${time}: the metric no longer improved.`;
    case 'stopped':
      return l10n.t`Stopped on request at step ${step}, after ${time}.`;
  }
}
