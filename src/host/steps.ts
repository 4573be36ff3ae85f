import * as vscode from 'vscode';
import { messageOf } from '../common/problem.js';

/** How a step of several ended. */
export type StepEnd<Value> =
  { readonly kind: 'chosen'; readonly value: Value } | { readonly kind: 'back' } | { readonly kind: 'cancelled' };

/** Where a step stands: the window shows `title (step/total)`, and Back from the second on. */
export interface StepPlace {
  readonly title: string;
  readonly step: number;
  readonly total: number;
  /** Back is there on the first step too: this is a question within it. */
  readonly within?: true;
}

/** Something to choose; without a value: a heading between others. */
export interface Choice<Value> extends vscode.QuickPickItem {
  readonly value?: Value;
}

/**
 * Asks for one of several. What takes time is shown when it is there; until then `first` can be chosen.
 * @param chosen tells which one was chosen before, when the step is come back to
 */
export async function pickStep<Value>(
  place: StepPlace,
  placeholder: string,
  first: readonly Choice<Value>[],
  more: (signal: AbortSignal) => Promise<readonly Choice<Value>[]>,
  chosen?: (value: Value) => boolean,
): Promise<StepEnd<Value>> {
  const picker = vscode.window.createQuickPick<Choice<Value>>();
  stand(picker, place);
  picker.placeholder = placeholder;
  picker.matchOnDescription = true;
  picker.matchOnDetail = true;
  picker.items = first;
  picker.busy = true;
  const abort = new AbortController();
  let failed: unknown;
  const finding = more(abort.signal).then(
    (found) => {
      picker.items = [...found, ...first];
      const before = picker.items.find(({ value }) => value !== undefined && chosen?.(value) === true);
      if (before) picker.activeItems = [before];
      picker.busy = false;
    },
    (error: unknown) => {
      picker.busy = false;
      if (!abort.signal.aborted) failed = error;
      if (failed !== undefined) picker.hide();
    },
  );
  const end = await ended<Value>(picker, (resolve) =>
    picker.onDidAccept(() => {
      const value = picker.selectedItems[0]?.value;
      if (value !== undefined) resolve({ kind: 'chosen', value });
    }),
  );
  abort.abort();
  await finding;
  if (failed !== undefined) throw failed instanceof Error ? failed : new Error(String(failed));
  return end;
}

/** Asks for a text; it is accepted when `wrong` finds nothing wrong with it. */
export async function textStep(
  place: StepPlace,
  prompt: string,
  value: string,
  wrong: (text: string) => Promise<string | undefined>,
): Promise<StepEnd<string>> {
  const input = vscode.window.createInputBox();
  stand(input, place);
  input.prompt = prompt;
  input.value = value;
  const stem = value.indexOf('.');
  if (stem > 0) input.valueSelection = [0, stem];
  const check = async (): Promise<boolean> => {
    const text = input.value;
    const found = await wrong(text).catch(messageOf);
    if (input.value === text) input.validationMessage = found;
    return found === undefined;
  };
  const typing = input.onDidChangeValue(() => void check());
  const end = await ended<string>(input, (resolve) =>
    input.onDidAccept(async () => {
      const text = input.value;
      if (await check()) resolve({ kind: 'chosen', value: text.trim() });
    }),
  );
  typing.dispose();
  return end;
}

function stand(input: vscode.QuickPick<vscode.QuickPickItem> | vscode.InputBox, place: StepPlace): void {
  input.title = place.title;
  input.step = place.step;
  input.totalSteps = place.total;
  // Looking something up elsewhere must not lose the answers so far.
  input.ignoreFocusOut = true;
  input.buttons = place.step > 1 || place.within === true ? [vscode.QuickInputButtons.Back] : [];
}

/** Shows an input until it is accepted, left by Back, or closed; then it is gone. */
async function ended<Value>(
  input: vscode.QuickPick<Choice<Value>> | vscode.InputBox,
  accepting: (resolve: (end: StepEnd<Value>) => void) => vscode.Disposable,
): Promise<StepEnd<Value>> {
  const listening: vscode.Disposable[] = [];
  try {
    return await new Promise<StepEnd<Value>>((resolve) => {
      listening.push(
        accepting(resolve),
        input.onDidTriggerButton((button) => {
          if (button === vscode.QuickInputButtons.Back) resolve({ kind: 'back' });
        }),
        input.onDidHide(() => resolve({ kind: 'cancelled' })),
      );
      input.show();
    });
  } finally {
    for (const each of listening) each.dispose();
    input.dispose();
  }
}
