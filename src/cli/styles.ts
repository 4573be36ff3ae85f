import { styleText } from 'node:util';
import type { Output } from './io.js';

/** Ways to mark text; each leaves it as it is where the output shows no colours (NO_COLOR, a file, a pipe). */
export interface Styles {
  readonly colours: boolean;
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly green: (text: string) => string;
}

/** The styles that an output can show. */
export function stylesFor(output: Output): Styles {
  // Node's own answer follows NO_COLOR, FORCE_COLOR and TERM.
  const colours = output.isTTY === true && output.hasColors?.() === true;
  const style =
    (format: Parameters<typeof styleText>[0]) =>
    (text: string): string =>
      colours ? styleText(format, text, { validateStream: false }) : text;
  return {
    colours,
    bold: style('bold'),
    dim: style('dim'),
    red: style('red'),
    yellow: style('yellow'),
    green: style('green'),
  };
}

/** Control characters made visible, but for tab and line break: a terminal would obey those in data or answers. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) =>
    character === '\n' || character === '\t'
      ? character
      : `\\x${character.codePointAt(0)!.toString(16).padStart(2, '0')}`,
  );
}
