import * as l10n from '@vscode/l10n';
import { fileName } from '../src/common/fileName.js';
import { formatCount } from '../src/common/format.js';
import type { PreviewSample } from '../src/engines/dataPreview.js';
import { make, setText } from './dom.js';
import { describeToken, drawnText } from './previewModel.js';
import { followTokens } from './tokenKeys.js';

/** One sample, each token an element; what the mouse or the arrow keys point at is told below. */
export function createSampleView(): { readonly element: HTMLElement; draw(sample?: PreviewSample): void } {
  const caption = make('figcaption', {});
  const text = make('pre', { class: 'tokens', role: 'listbox', 'aria-label': l10n.t`Tokens of the sample` });
  const readout = make('p', { class: 'readout', role: 'status' });
  const element = make('figure', {}, caption, text, readout);
  let shown: PreviewSample | undefined;

  const keys = followTokens(text, {
    at: (index) => {
      const child = shown?.tokens[index] === undefined ? undefined : text.children[index];
      return child instanceof HTMLElement ? child : undefined;
    },
    count: () => shown?.tokens.length ?? 0,
    onPoint: (index) => {
      const token = shown?.tokens[index];
      if (token !== undefined) setText(readout, describeToken(token, index));
    },
  });

  return {
    element,
    draw(sample) {
      element.hidden = sample === undefined;
      if (sample === shown || sample === undefined) return;
      shown = sample;
      keys.restart();
      const { number, file, line, length, label, supervised, truncated, tokens } = sample;
      const [row, all, counted] = [formatCount(number), formatCount(length), formatCount(supervised)];
      setText(
        caption,
        label !== undefined
          ? l10n.t`Row ${row} (${fileName(file)}, line ${line}): ${all} tokens, of the class ${label}`
          : truncated
            ? l10n.t`Row ${row} (${fileName(file)}, line ${line}): ${all} tokens, cut at its end, ${counted} supervised`
            : l10n.t`Row ${row} (${fileName(file)}, line ${line}): ${all} tokens, ${counted} supervised`,
      );
      text.replaceChildren(
        ...tokens.map((token, at) =>
          make(
            'span',
            {
              class: `token ${token.supervised ? 'supervised' : 'masked'}${token.special === true ? ' special' : ''}`,
              role: 'option',
              'data-at': String(at),
              tabindex: at === 0 ? '0' : '-1',
              title: describeToken(token, at),
            },
            drawnText(token.text),
          ),
        ),
        ...(length > tokens.length ? [l10n.t`… and ${formatCount(length - tokens.length)} tokens more`] : []),
        ...(truncated ? [make('span', { class: 'cut' }, ` ✂ ${l10n.t`cut here`}`)] : []),
      );
      setText(readout, l10n.t`Point at a token, or go along them with the arrow keys.`);
    },
  };
}
