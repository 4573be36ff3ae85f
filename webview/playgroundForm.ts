import * as l10n from '@vscode/l10n';
import type { PlaygroundOptions } from '../src/engines/playground/protocol.js';
import { make } from './dom.js';

type Name = keyof PlaygroundOptions;

/** What a person may set, in Transformers' names. */
const FIELDS: readonly {
  readonly name: Name;
  readonly step: string;
  readonly least: string;
  readonly most?: string;
  readonly tip: () => string;
}[] = [
  { name: 'max_new_tokens', step: '1', least: '1', tip: () => l10n.t`Tokens to generate at most` },
  {
    name: 'temperature',
    step: '0.1',
    least: '0',
    tip: () => l10n.t`0 takes the most likely token always; 1 draws as the model has it`,
  },
  {
    name: 'top_p',
    step: '0.05',
    least: '0',
    most: '1',
    tip: () => l10n.t`Draw from the fewest most likely tokens that reach this probability; 1: all`,
  },
  { name: 'top_k', step: '1', least: '0', tip: () => l10n.t`Draw from the k most likely tokens only; 0: all` },
  {
    name: 'repetition_penalty',
    step: '0.05',
    least: '0.05',
    tip: () => l10n.t`Above 1: tokens that were there become less likely; 1: no effect`,
  },
  { name: 'seed', step: '1', least: '0', tip: () => l10n.t`Seed of the draws: the same for every column` },
];

/** The sampling settings. */
export interface OptionsForm {
  readonly element: HTMLElement;
  /** What is set; a field that holds no number is left out, so that its default counts. */
  read(): PlaygroundOptions;
  write(options: PlaygroundOptions): void;
}

/** Makes the settings, empty; `onChange` is called after each change by hand. */
export function createOptionsForm(onChange: () => void): OptionsForm {
  const inputs = new Map<Name, HTMLInputElement>();
  const fields = FIELDS.map(({ name, step, least, most, tip }) => {
    const input = document.createElement('input');
    input.type = 'number';
    input.step = step;
    input.min = least;
    if (most !== undefined) input.max = most;
    input.title = tip();
    input.addEventListener('change', onChange);
    inputs.set(name, input);
    return make('label', { class: 'option', title: tip() }, make('span', {}, name), input);
  });
  return {
    element: make('div', { class: 'options', role: 'group', 'aria-label': l10n.t`Sampling` }, ...fields),
    read() {
      const given = [...inputs].flatMap(([name, { value }]) =>
        value.trim() === '' ? [] : [[name, Number(value)]],
      );
      return Object.fromEntries(given) as PlaygroundOptions;
    },
    write(options) {
      for (const [name, input] of inputs) {
        const value = options[name];
        if (value !== undefined) input.value = String(value);
      }
    },
  };
}
