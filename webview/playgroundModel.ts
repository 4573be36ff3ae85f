import * as l10n from '@vscode/l10n';
import { formatDuration } from '../src/common/format.js';
import type { Problem } from '../src/common/problem.js';
import type { Answer, AnswerToken, PlaygroundPrompt } from '../src/engines/playground/protocol.js';
import type { PlaygroundColumn } from '../src/engines/playground/setup.js';
import type { AnswerEvent } from '../src/host/playgroundProtocol.js';

/** A token as it is shown, with what the base model gives it once that is known. */
export interface ShownToken extends AnswerToken {
  base?: number;
}

/** What one column answers to one prompt. */
export interface ShownAnswer {
  readonly column: string;
  readonly name: string;
  readonly tokens: ShownToken[];
  answer?: Answer;
  problem?: Problem;
  /** Nothing more comes. */
  over: boolean;
}

/** One prompt with its answers. */
export interface Turn {
  readonly request: number;
  readonly mode: 'prompt' | 'chat';
  readonly system: string;
  readonly prompt: string;
  readonly answers: readonly ShownAnswer[];
}

/** What is said above a column. */
export function titleOf({ name, steering }: Pick<PlaygroundColumn, 'name' | 'steering'>): string {
  return steering === undefined ? name : l10n.t`steered by ${name} (α = ${steering.alpha})`;
}

/** A prompt that was sent to these columns. */
export function turnOf(
  about: Omit<Turn, 'answers'>,
  columns: readonly { readonly id: string; readonly name: string }[],
): Turn {
  return {
    ...about,
    answers: columns.map(({ id, name }) => ({ column: id, name, tokens: [], over: false })),
  };
}

/** Turns with the answers of these columns only: one that was removed may leave its id to another. */
export function turnsWith(turns: readonly Turn[], columns: readonly { readonly id: string }[]): Turn[] {
  const isThere = ({ column }: ShownAnswer): boolean => columns.some(({ id }) => id === column);
  return turns.map((turn) =>
    turn.answers.every(isThere) ? turn : { ...turn, answers: turn.answers.filter(isThere) },
  );
}

/** Takes what happened into the turn it is about; returns the answers that changed. */
export function takeEvent(turn: Turn, event: AnswerEvent): readonly ShownAnswer[] {
  if (event.request !== turn.request) return [];
  if (event.type === 'done') {
    const open = turn.answers.filter(({ over }) => !over);
    for (const answer of open) answer.over = true;
    return open;
  }
  const answer = turn.answers.find(({ column }) => column === event.column);
  if (answer === undefined) return [];
  switch (event.type) {
    case 'token':
      answer.tokens.push({ ...event.token });
      break;
    case 'scored':
      event.base.forEach((base, at) => {
        const token = answer.tokens[event.from + at];
        if (token !== undefined) token.base = base;
      });
      break;
    case 'answered':
      answer.answer = event.answer;
      answer.over = true;
      break;
    case 'refused':
      answer.problem = event.problem;
      answer.over = true;
      break;
  }
  return [answer];
}

/** What has been written of an answer. */
export function textOf({ tokens, answer }: ShownAnswer): string {
  return answer?.text ?? tokens.map(({ text }) => text).join('');
}

/**
 * What a column is given: the prompt as it is, or the conversation with its own answers so far. A turn that it did not
 * answer (it was added later, or failed) is no part of its conversation.
 */
export function promptFor(
  column: string,
  { mode, system, prompt }: Pick<Turn, 'mode' | 'system' | 'prompt'>,
  before: readonly Turn[],
): PlaygroundPrompt {
  if (mode === 'prompt') return prompt;
  const turns = before.flatMap((turn) => {
    const own = turn.mode === 'chat' ? turn.answers.find((answer) => answer.column === column) : undefined;
    if (own?.answer === undefined) return [];
    return [
      { role: 'user', content: turn.prompt },
      { role: 'assistant', content: own.answer.text },
    ];
  });
  return [
    ...(system.trim() === '' ? [] : [{ role: 'system', content: system }]),
    ...turns,
    { role: 'user', content: prompt },
  ];
}

/** Where the steps of the colours begin, in nats: factors of about 1.1, 1.6, 2.7 and 7.4 of the probability. */
const STEPS = [0.1, 0.5, 1, 2] as const;

/** The strongest colour. */
export const STRONGEST = STEPS.length;

/** How strongly a difference is coloured: −4 (much less likely than under the base model) to 4 (much more); 0: none. */
export function levelOf(difference: number): number {
  const size = Math.abs(difference);
  return Math.sign(difference) * STEPS.filter((step) => size >= step).length || 0;
}

/** log p in its column − log p under the base model; undefined where it is not known (yet). */
export function differenceOf({ own, base }: ShownToken): number | undefined {
  return base === undefined ? undefined : own - base;
}

/** What a level of colour stands for, in factors of the probability. */
export function levelText(level: number): string {
  if (level === 0) return l10n.t`about as likely`;
  const factor = Math.exp(STEPS[Math.abs(level) - 1]!);
  const times = factor < 2 ? factor.toFixed(1) : Math.round(factor);
  return level > 0 ? l10n.t`at least ${times}× more likely` : l10n.t`at least ${times}× less likely`;
}

/** What a token says, in quotes; or what it is where it says nothing. */
export function pieceText({ end, text }: ShownToken): string {
  if (end === true) return l10n.t`end of the text`;
  return text === '' ? l10n.t`a part of a character` : JSON.stringify(text);
}

/** One token in words. */
export function tokenText(token: ShownToken, at: number): string {
  const [piece, own] = [pieceText(token), probability(token.own)];
  const difference = differenceOf(token);
  if (difference === undefined) return l10n.t`Token ${at + 1}, ${piece}: probability ${own}`;
  return l10n.t`Token ${at + 1}, ${piece}: probability ${own}, ${probability(token.base!)} under the base model: log difference ${signed(difference)} (${factorText(difference)})`;
}

/** `0.042`, `3.1e-5`, from a logarithm. */
export function probability(log: number): string {
  const value = Math.exp(log);
  return value >= 0.001 ? value.toFixed(3) : value.toExponential(1);
}

/** `+1.43`, `−0.20`. */
export function signed(value: number): string {
  const text = Math.abs(value).toFixed(2);
  return `${Number(text) === 0 ? '' : value < 0 ? '−' : '+'}${text}`;
}

function factorText(difference: number): string {
  const factor = Math.exp(Math.abs(difference));
  if (factor < 1.005) return l10n.t`the same`;
  const shown = factor >= 1000 ? factor.toExponential(1) : factor.toPrecision(3);
  return difference > 0 ? l10n.t`${shown}× more likely` : l10n.t`${shown}× less likely`;
}

/** How an answer ended and how fast it came. */
export function speedText({ tokens, reason, firstToken, afterFirst }: Answer): string {
  const end = ENDS[reason]();
  const count = tokens === 1 ? l10n.t`1 token, ${end}` : l10n.t`${tokens} tokens, ${end}`;
  const first = l10n.t`first after ${seconds(firstToken)}`;
  if (tokens < 2) return `${count} · ${first}`;
  return `${count} · ${first} · ${l10n.t`${((tokens - 1) / afterFirst).toFixed(1)} tokens/s`}`;
}

const ENDS: Readonly<Record<Answer['reason'], () => string>> = {
  eos: () => l10n.t`ended by itself`,
  length: () => l10n.t`cut at the limit`,
  stopped: () => l10n.t`stopped`,
};

function seconds(value: number): string {
  return value < 1 ? l10n.t`${Math.round(value * 1000)} ms` : formatDuration(value);
}

/** All turns as Markdown: texts in fences that nothing in them closes. */
export function markdownOf(base: string, turns: readonly Turn[]): string {
  const parts = [`# ${l10n.t`Playground: ${base}`}`];
  for (const { mode, system, prompt, answers } of turns) {
    if (mode === 'chat' && system.trim() !== '') parts.push(`## ${l10n.t`System prompt`}`, fenced(system));
    parts.push(`## ${mode === 'chat' ? l10n.t`User` : l10n.t`Prompt`}`, fenced(prompt));
    for (const shown of answers) {
      const facts = shown.answer === undefined ? '' : ` (${speedText(shown.answer)})`;
      parts.push(
        `### ${shown.name}${facts}`,
        shown.problem ? l10n.t`Failed: ${shown.problem.message}` : fenced(textOf(shown)),
      );
    }
  }
  return `${parts.join('\n\n')}\n`;
}

function fenced(text: string): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}text\n${text}\n${fence}`;
}

/** All turns as JSON, each token with its logarithms of probability. */
export function jsonOf(base: string, options: object, turns: readonly Turn[]): string {
  const shown = turns.map(({ mode, system, prompt, answers }) => ({
    mode,
    ...(mode === 'chat' ? { system } : {}),
    prompt,
    answers: answers.map((each) => ({
      column: each.name,
      text: textOf(each),
      ...(each.answer === undefined ? {} : { reason: each.answer.reason }),
      ...(each.problem === undefined ? {} : { problem: each.problem }),
      tokens: each.tokens.map(({ id, text, own, base: under }) => ({
        id,
        text,
        log_probability: own,
        ...(under === undefined ? {} : { base_log_probability: under }),
      })),
    })),
  }));
  return `${JSON.stringify({ base, options, turns: shown }, undefined, 2)}\n`;
}
