import * as l10n from '@vscode/l10n';
import type { Answer, Generations } from '../src/training/events.js';
import { answersJson, answersSummary, drawnAnswer, sameRow, stepName, verdictOf } from './answersModel.js';
import { button, make, setShown, setText } from './dom.js';
import { createTimeSlider } from './heatMapTime.js';
import type { Ask } from './requests.js';
import type { View } from './view.js';

/** Validation rows and what the model answers to them, at one evaluation beside the first. */
export function createGenerationsView(ask: Ask): View {
  let told: readonly Generations[] = [];
  let drawn: Generations | undefined;
  let drawnFirst: Generations | undefined;
  const waiting = make(
    'p',
    { class: 'muted' },
    l10n.t`Set training.eval_generations: the model then answers so many validation rows at each evaluation.`,
  );
  const slider = createTimeSlider(render);
  const summary = make('p', { class: 'answers-summary', role: 'status' });
  const copied = make('span', { role: 'status' });
  const copy = button(l10n.t`Copy as JSON`, 'secondary', () => {
    ask('copyText', { text: answersJson(told) }).then(
      () => setText(copied, l10n.t`Copied.`),
      (error: unknown) => setText(copied, error instanceof Error ? error.message : String(error)),
    );
  });
  copy.title = l10n.t`All rows with their answers by step`;
  const list = make('ol', { class: 'answers', 'aria-label': l10n.t`Validation rows and their answers` });
  const body = make('div', {}, make('div', { class: 'choices' }, slider.element, copy, copied), summary, list);

  function render(): void {
    const [first] = told;
    const shown = told[slider.index()];
    if (first === undefined || shown === undefined || (shown === drawn && first === drawnFirst)) return;
    drawn = shown;
    drawnFirst = first;
    setText(summary, answersSummary(shown));
    list.replaceChildren(...shown.rows.map((row) => drawRow(row, shown, first)));
  }

  return {
    element: make('div', { class: 'tab' }, waiting, body),
    draw({ generations }) {
      told = generations.items();
      setShown(waiting, told.length === 0);
      setShown(body, told.length > 0);
      slider.draw(told.map(({ step }) => step));
      render();
    },
  };
}

function drawRow(row: Answer, shown: Generations, first: Generations): HTMLElement {
  const before = first === shown ? undefined : sameRow(first, row);
  const text = (label: string, value: string, kind: string): HTMLElement[] => [
    make('dt', {}, label),
    make(
      'dd',
      {},
      make(
        'pre',
        { tabindex: '0', role: 'group', 'aria-label': l10n.t`${label}, line ${row.line}`, class: kind },
        value,
      ),
    ),
  ];
  return make(
    'li',
    {},
    make('h2', {}, l10n.t`Line ${row.line}: ${verdictOf(row)}`),
    make(
      'dl',
      {},
      ...text(l10n.t`Prompt`, row.prompt, 'masked'),
      ...text(l10n.t`Expected`, drawnAnswer(row.reference), 'supervised'),
      ...(before === undefined ? [] : answerText(first.step, before)),
      ...answerText(shown.step, row),
    ),
  );

  function answerText(step: number, answer: Answer): HTMLElement[] {
    return text(
      l10n.t`${stepName(step)}: ${verdictOf(answer)}`,
      drawnAnswer(answer.answer),
      answer.matches ? 'right' : '',
    );
  }
}
