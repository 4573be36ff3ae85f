import * as l10n from '@vscode/l10n';
import { placedSentences } from '../src/common/sentences.js';
import { make, setShown, setText } from './dom.js';
import { differenceOf, levelOf, pieceText, probability, signed, speedText, tokenText } from './playgroundModel.js';
import type { ShownAnswer, ShownToken } from './playgroundModel.js';
import { followTokens } from './tokenKeys.js';

/** One answer, each token an element that is coloured once it was compared. */
export interface AnswerView {
  readonly element: HTMLElement;
  /** Brings it up to what has come. */
  draw(): void;
}

/**
 * Makes the view of an answer; nothing of it has to be there yet.
 * @param onPoint told, in words, of the token that the mouse or the keys point at
 */
export function createAnswerView(shown: ShownAnswer, onPoint: (text: string) => void): AnswerView {
  const text = make('div', {
    class: 'answer-text',
    role: 'listbox',
    'aria-label': l10n.t`Answer of ${shown.name}`,
  });
  const status = make('p', { class: 'muted answer-status' }, l10n.t`Waiting`);
  const failure = make('p', { class: 'problem', role: 'alert' });
  const rows = make('tbody', {});
  const isCompared = shown.column !== 'base';
  const titles = isCompared
    ? ['#', l10n.t`Token`, l10n.t`Probability`, l10n.t`Base`, l10n.t`Difference`]
    : ['#', l10n.t`Token`, l10n.t`Probability`];
  const table = make(
    'table',
    { 'aria-label': l10n.t`Tokens of ${shown.name}` },
    make('thead', {}, make('tr', {}, ...titles.map((title) => make('th', { scope: 'col' }, title)))),
    rows,
  );
  const scroller = make(
    'div',
    { class: 'token-table', tabindex: '0', role: 'region', 'aria-label': l10n.t`Table of tokens` },
    table,
  );
  const details = make('details', {}, make('summary', {}, l10n.t`Tokens as a table`), scroller);
  const element = make('div', { class: 'answer' }, text, failure, status, details);
  const spans: HTMLElement[] = [];
  let compared = 0;
  let tabled = 0;

  followTokens(text, {
    at: (index) => spans[index],
    count: () => spans.length,
    onPoint: (index) => {
      const token = shown.tokens[index];
      if (token !== undefined) onPoint(tokenText(token, index));
    },
  });
  details.addEventListener('toggle', () => drawTable());

  function span(token: ShownToken, at: number): HTMLElement {
    const end = token.end === true;
    return make(
      'span',
      {
        class: `piece${end ? ' piece-end' : ''}`,
        role: 'option',
        'data-at': String(at),
        tabindex: at === 0 ? '0' : '-1',
        ...(token.text === '' ? { 'aria-label': pieceText(token) } : {}),
      },
      end ? '■' : token.text,
    );
  }

  function drawTable(): void {
    if (!(details instanceof HTMLDetailsElement) || !details.open) return;
    const known = isCompared ? compared : shown.tokens.length;
    for (; tabled < known; tabled++) rows.append(tableRow(shown.tokens[tabled]!, tabled, isCompared));
  }

  return {
    element,
    draw() {
      for (let at = spans.length; at < shown.tokens.length; at++) {
        const made = span(shown.tokens[at]!, at);
        spans.push(made);
        text.append(made);
      }
      for (; shown.tokens[compared]?.base !== undefined; compared++) {
        const token = shown.tokens[compared]!;
        const level = levelOf(differenceOf(token)!);
        const made = spans[compared]!;
        if (level !== 0) made.classList.add(level > 0 ? 'more' : 'less', `level-${Math.abs(level)}`);
      }
      const { answer, problem, over } = shown;
      if (answer !== undefined && answer.rest !== '' && text.querySelector('.piece-rest') === null) {
        text.append(make('span', { class: 'piece-rest' }, answer.rest));
      }
      setShown(text, shown.tokens.length > 0);
      setShown(details, shown.tokens.length > 0);
      setText(failure, problem === undefined ? '' : placedSentences(problem));
      setShown(failure, problem !== undefined);
      const working = shown.tokens.length === 0 ? l10n.t`Waiting` : l10n.t`${shown.tokens.length} tokens so far`;
      // After a reload of the window, or where the workspace is not trusted.
      const broken = problem === undefined ? l10n.t`Cut off before its end` : '';
      setText(status, answer === undefined ? (over ? broken : working) : speedText(answer));
      drawTable();
    },
  };
}

function tableRow(token: ShownToken, at: number, isCompared: boolean): HTMLElement {
  const difference = differenceOf(token);
  const numbers = isCompared
    ? [
        probability(token.own),
        token.base === undefined ? '' : probability(token.base),
        difference === undefined ? '' : signed(difference),
      ]
    : [probability(token.own)];
  return make(
    'tr',
    {},
    make('td', { class: 'number' }, String(at + 1)),
    make('td', { class: 'token-name' }, pieceText(token)),
    ...numbers.map((text) => make('td', { class: 'number' }, text)),
  );
}
