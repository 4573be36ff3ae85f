import { make } from './dom.js';

/** A field for a number. */
export interface NumberField {
  readonly element: HTMLElement;
  /** Sets it without calling back; what is being typed is left as it is while it means the same. */
  write(value: number | null): void;
}

/**
 * Makes a field that calls back as it is typed in; null where it holds no number.
 * @param limits attributes of the input: `step`, `min`, `max`
 */
export function createNumberField(
  label: string,
  limits: Readonly<Record<string, string>>,
  onChange: (value: number | null) => void,
): NumberField {
  const element = make('input', { type: 'number', 'aria-label': label, class: 'number-field', ...limits });
  const valueOf = (): number | null => {
    const text = element instanceof HTMLInputElement ? element.value.trim() : '';
    return text === '' || !Number.isFinite(Number(text)) ? null : Number(text);
  };
  element.addEventListener('input', () => {
    element.setAttribute('aria-invalid', String(valueOf() === null));
    onChange(valueOf());
  });
  return {
    element,
    write(value) {
      if (!(element instanceof HTMLInputElement) || value === valueOf()) return;
      element.value = value === null ? '' : String(value);
      element.setAttribute('aria-invalid', String(value === null));
    },
  };
}
