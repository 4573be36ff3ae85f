import * as l10n from '@vscode/l10n';
import { base64Of } from './curveExport.js';
import { button, make, setText } from './dom.js';
import type { Ask } from './requests.js';

/** What of a view can be taken along. */
export interface Exported {
  /** Of files, without an ending. */
  readonly name: () => string;
  readonly csv: () => string;
  readonly picture: () => HTMLCanvasElement;
}

/** Buttons that copy or save a view's numbers and picture, with a word on how it went. */
export function exportButtons(ask: Ask, { name, csv, picture }: Exported): HTMLElement {
  const done = make('span', { class: 'muted', role: 'status' });

  async function copyCsv(): Promise<string> {
    const text = csv();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page without the focus may not write to the clipboard; the editor may.
      await ask('copyText', { text });
    }
    return l10n.t`Copied as CSV.`;
  }

  async function copyPng(): Promise<string> {
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': blobOf(picture()) })]);
    return l10n.t`Copied as PNG.`;
  }

  async function save(content: { text: string } | { base64: string }, ending: string): Promise<string> {
    const { saved } = await ask('saveFile', { name: `${name()}.${ending}`, content });
    return saved === undefined ? '' : l10n.t`Saved as ${saved}.`;
  }

  const act = (label: string, work: () => Promise<string>): HTMLElement =>
    button(label, 'secondary', () => {
      work().then(
        (text) => setText(done, text),
        (error: unknown) =>
          setText(done, l10n.t`That did not work: ${error instanceof Error ? error.message : String(error)}`),
      );
    });

  return make(
    'div',
    { class: 'buttons heat-export' },
    act(l10n.t`Copy CSV`, copyCsv),
    act(l10n.t`Copy PNG`, copyPng),
    act(l10n.t`Save CSV…`, () => save({ text: csv() }, 'csv')),
    act(l10n.t`Save PNG…`, async () => save({ base64: await base64Of(await blobOf(picture())) }, 'png')),
    done,
  );
}

function blobOf(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error(l10n.t`the picture could not be made`))),
      'image/png',
    );
  });
}
