import * as l10n from '@vscode/l10n';
import { formatCount } from '../src/common/format.js';
import type { RunChoice } from '../src/host/protocol.js';
import { unpackEvents } from '../src/engines/packEvents.js';
import { createColumns, followRun } from './curveColumns.js';
import { MOST_LAID_OVER } from './curvePictures.js';
import type { ShownRun } from './curvePictures.js';
import { button, make, setExpanded, setShown, setText } from './dom.js';
import type { Ask } from './requests.js';
import { createRunModel, takeEvent } from './runModel.js';

/** The choice of other runs whose curves are laid over. */
export interface CurveCompare {
  /** The button that opens the list. */
  readonly opener: HTMLElement;
  readonly list: HTMLElement;
  /** The runs that are laid over, in the order they were chosen. */
  runs(): readonly ShownRun[];
}

/** Makes the choice; `onChange` is called when a run is laid over or taken away. */
export function createCurveCompare(ask: Ask, onChange: () => void): CurveCompare {
  const chosen = new Map<string, ShownRun>();
  const note = make('p', { class: 'muted', role: 'status' });
  const choices = make('div', { class: 'compare-choices' });
  const list = make('section', { class: 'compare', 'aria-label': l10n.t`Runs to lay over` }, note, choices);
  const opener = button(l10n.t`Compare with…`, 'secondary', () => {
    setShown(list, list.hidden);
    setExpanded(opener, !list.hidden);
    if (!list.hidden) void fill();
  });
  setExpanded(opener, false);
  setShown(list, false);

  async function fill(): Promise<void> {
    if (choices.childElementCount === 0) setText(note, l10n.t`Looking for runs…`);
    try {
      const found = await ask('listRuns', {});
      choices.replaceChildren(...found.map(choiceOf));
      tell(found.length);
    } catch (error) {
      setText(note, l10n.t`The runs cannot be listed: ${messageOf(error)}`);
    }
  }

  function choiceOf(run: RunChoice): HTMLElement {
    const box = make('input', { type: 'checkbox' });
    if (box instanceof HTMLInputElement) {
      box.checked = chosen.has(run.folder);
      box.addEventListener('change', () => void choose(run, box));
    }
    const details = [run.method, new Date(run.modified).toLocaleString(document.documentElement.lang)].filter(
      (text) => text !== undefined,
    );
    return make(
      'label',
      { class: 'compare-choice', title: run.folder },
      box,
      make('span', {}, run.name),
      make('span', { class: 'muted' }, details.join(' · ')),
    );
  }

  async function choose(run: RunChoice, box: HTMLInputElement): Promise<void> {
    if (!box.checked) {
      chosen.delete(run.folder);
      tell();
      onChange();
      return;
    }
    if (chosen.size >= MOST_LAID_OVER) {
      box.checked = false;
      setText(note, l10n.t`At most ${MOST_LAID_OVER} runs can be told apart: take one away first.`);
      return;
    }
    setText(note, l10n.t`Reading ${run.name}…`);
    try {
      const { events } = await ask('runEvents', { folder: run.folder });
      if (!box.checked) return;
      const model = createRunModel();
      for (const event of unpackEvents(events)) takeEvent(model, event);
      const columns = createColumns();
      followRun(columns, model);
      chosen.set(run.folder, { id: run.folder, name: run.name, columns });
      if (model.steps.length === 0) setText(note, l10n.t`${run.name} has no steps to show.`);
      else tell();
      onChange();
    } catch (error) {
      box.checked = false;
      setText(note, l10n.t`${run.name} cannot be read: ${messageOf(error)}`);
    }
  }

  function tell(found = choices.childElementCount): void {
    if (found === 0) setText(note, l10n.t`The workspace has no other runs.`);
    else if (chosen.size === 0) setText(note, l10n.t`Up to ${MOST_LAID_OVER} runs.`);
    else setText(note, l10n.t`Up to ${MOST_LAID_OVER} runs; ${formatCount(chosen.size)} laid over.`);
  }

  return { opener, list, runs: () => [...chosen.values()] };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
