/** What an element may be given. Text is always set as text: nothing from a run is ever parsed as HTML. */
export type Child = Node | string;

/** Makes an element with attributes and children. */
export function make(
  tag: string,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The same for SVG. */
export function makeSvg(
  tag: string,
  attributes: Readonly<Record<string, string | number>> = {},
  ...children: readonly Child[]
): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** A toolkit button that calls back. */
export function button(label: string, appearance: 'primary' | 'secondary', onClick: () => void): HTMLElement {
  const element = make('vscode-button', { appearance }, label);
  element.addEventListener('click', onClick);
  return element;
}

/** Shows or hides an element, for the eye and for screen readers. */
export function setShown(element: HTMLElement, shown: boolean): void {
  element.hidden = !shown;
}

/** Enables or disables a button. */
export function setDisabled(element: HTMLElement, disabled: boolean): void {
  element.toggleAttribute('disabled', disabled);
}

/** Says of a button whether what it opens is open: to its inner element, since the toolkit hands it on no state. */
export function setExpanded(element: HTMLElement, expanded: boolean): void {
  element.dataset['expanded'] = String(expanded);
  const say = (): void => {
    element.shadowRoot?.querySelector('button')?.setAttribute('aria-expanded', element.dataset['expanded'] ?? '');
  };
  say();
  // Of a button that was just made it is there once the button is in the page.
  requestAnimationFrame(say);
}

/** Sets text only when it changed, so that screen readers and selections are left in peace. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A titled value, for a `dl` of tiles. */
export function tile(title: string, value: string): HTMLElement {
  return make('div', { class: 'tile' }, make('dt', {}, title), make('dd', {}, value));
}
