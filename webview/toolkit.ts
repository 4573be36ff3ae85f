import {
  Checkbox,
  DataGrid,
  Dropdown,
  Panels,
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodeCheckbox,
  vsCodeDataGrid,
  vsCodeDataGridCell,
  vsCodeDataGridRow,
  vsCodeDropdown,
  vsCodeOption,
  vsCodePanels,
  vsCodePanelTab,
  vsCodePanelView,
} from '@vscode/webview-ui-toolkit';
import { make } from './dom.js';

/** Registers the toolkit's elements that the page uses. */
export function registerToolkit(): void {
  provideVSCodeDesignSystem().register(
    vsCodeButton(),
    vsCodeCheckbox(),
    vsCodeDataGrid(),
    vsCodeDataGridCell(),
    vsCodeDataGridRow(),
    vsCodeDropdown(),
    vsCodeOption(),
    vsCodePanels(),
    vsCodePanelTab(),
    vsCodePanelView(),
  );
}

export interface Column {
  readonly key: string;
  readonly title: string;
}

/** A data grid with a name for screen readers. `widths` is a CSS grid-template-columns. */
export function makeGrid(
  label: string,
  columns: readonly Column[],
  widths: string,
): { readonly element: HTMLElement; setRows(rows: readonly Readonly<Record<string, string>>[]): void } {
  const element = make('vscode-data-grid', { 'aria-label': label, 'grid-template-columns': widths });
  if (element instanceof DataGrid) {
    element.columnDefinitions = columns.map(({ key, title }) => ({ columnDataKey: key, title }));
  }
  let shown = '';
  return {
    element,
    setRows(rows) {
      const next = JSON.stringify(rows);
      if (next === shown || !(element instanceof DataGrid)) return;
      shown = next;
      element.rowsData = [...rows];
    },
  };
}

/** A dropdown with a label; calls back with the chosen value. */
export function makeDropdown(
  label: string,
  onChange: (value: string) => void,
): { readonly element: HTMLElement; setOptions(options: readonly Column[], chosen: string): void } {
  const list = make('vscode-dropdown', { 'aria-label': label });
  if (list instanceof Dropdown) leaveShortcuts(list);
  list.addEventListener('change', () => {
    if (list instanceof Dropdown) onChange(list.value);
  });
  let shown = '';
  return {
    element: make('label', { class: 'choice' }, make('span', {}, label), list),
    setOptions(options, chosen) {
      const next = JSON.stringify(options);
      if (next === shown) {
        // Options that were clicked stay: of one that is gone the label opens the list anew.
        if (list instanceof Dropdown && list.value !== chosen) list.value = chosen;
        return;
      }
      shown = next;
      list.replaceChildren(
        ...options.map(({ key, title }) =>
          make('vscode-option', key === chosen ? { value: key, selected: '' } : { value: key }, title),
        ),
      );
    },
  };
}

/** Letters choose an option that begins with them; with Control or the like they are a shortcut of the editor, and no letters. */
function leaveShortcuts(list: Dropdown): void {
  const take = list.keydownHandler.bind(list);
  list.keydownHandler = (event) => event.ctrlKey || event.metaKey || event.altKey || take(event);
}

/** A box to tick, with its label; `tick` sets it without calling back. */
export function makeCheckbox(
  label: string,
  onChange: (ticked: boolean) => void,
): { readonly element: HTMLElement; tick(ticked: boolean): void } {
  const element = make('vscode-checkbox', {}, label);
  let told = false;
  element.addEventListener('change', () => {
    if (!(element instanceof Checkbox) || element.checked === told) return;
    told = element.checked;
    onChange(told);
  });
  return {
    element,
    tick(ticked) {
      told = ticked;
      if (element instanceof Checkbox) element.checked = ticked;
    },
  };
}

export interface Tab {
  readonly id: string;
  readonly title: string;
  readonly content: HTMLElement;
}

/** Tabs, one of them in front. */
export interface Tabs {
  readonly element: HTMLElement;
  /** Puts a count beside a title; none for 0. */
  badge(id: string, count: number): void;
  /** Brings a tab to the front, unless it is hidden. */
  show(id: string): void;
  /** Hides a tab that has nothing to show; one in front gives way to the first. */
  setShown(id: string, shown: boolean): void;
  inFront(): string;
}

/**
 * Makes tabs; tells which one came to the front. Arrow keys move between them.
 * @param active the tab in front at first; the first one where there is none of that name
 */
export function makeTabs(
  label: string,
  tabs: readonly Tab[],
  active: string,
  onChange: (id: string) => void,
): Tabs {
  const headOf = new Map<string, HTMLElement>();
  const first = tabs[0]?.id ?? '';
  let front = tabs.some(({ id }) => id === active) ? active : first;
  const heads = tabs.map(({ id, title }) => {
    const head = make('vscode-panel-tab', { id: `tab-${id}` }, title);
    headOf.set(id, head);
    return head;
  });
  const views = tabs.map(({ id, content }) => make('vscode-panel-view', { id: `view-${id}` }, content));
  const element = make('vscode-panels', { 'aria-label': label, activeid: `tab-${front}` }, ...heads, ...views);
  element.addEventListener('change', () => {
    if (!(element instanceof Panels)) return;
    front = element.activeid.replace(/^tab-/, '');
    onChange(front);
  });
  // As a person would: setting `activeid` changes the tab without telling anybody.
  const show = (id: string): void => headOf.get(id)?.click();
  return {
    element,
    show,
    inFront: () => front,
    setShown(id, shown) {
      const head = headOf.get(id);
      if (!head || head.hidden === !shown) return;
      head.hidden = !shown;
      if (!shown && front === id) show(first);
    },
    badge(id, count) {
      const head = headOf.get(id);
      const title = tabs.find((tab) => tab.id === id)?.title;
      if (!head || title === undefined || head.dataset['count'] === String(count)) return;
      head.dataset['count'] = String(count);
      head.replaceChildren(title, ...(count > 0 ? [' ', make('span', { class: 'count' }, String(count))] : []));
      // The toolkit names a tab by the text that it had at first; its text names it with the count.
      head.removeAttribute('aria-label');
    },
  };
}
