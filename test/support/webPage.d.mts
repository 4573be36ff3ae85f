/** A page of `webview/` in a document without a screen. */
export interface WebPage {
  /** Gives the page a message of the editor, and time to draw. */
  tell(message: unknown): Promise<void>;
  /** What the page has said to the editor. */
  readonly sent: readonly unknown[];
  click(selector: string): Promise<void>;
  /** Presses a key within an element, or in the window. */
  press(key: string, selector?: string): Promise<void>;
  /** Writes into a field, or chooses, and leaves it. */
  type(selector: string, text: string): Promise<void>;
  /** Whether an element, or what it is in, is put away. */
  hidden(selector: string): boolean;
  /** What stands in a field. */
  value(selector: string): string;
  /** Opens each `<details>`. */
  open(selector: string): Promise<void>;
  /** Tells an element that it has the focus. */
  focus(selector: string): Promise<void>;
  /** All that a person sees or hears of it, behind tabs too: texts, and attributes that are read out or shown. */
  texts(within?: string): readonly string[];
  /** How many elements there are. */
  count(selector: string): number;
  /** Ends its timers, which would keep the process alive. */
  close(): void;
}

/** Opens a page: one per process, for its modules run once. `texts`: the translations. */
export function openWebPage(
  name: 'panel' | 'preview' | 'compare' | 'methods' | 'combine' | 'compose' | 'playground',
  texts: Readonly<Record<string, string>>,
): Promise<WebPage>;

/** The translations as they are shipped. */
export function chineseTexts(): Readonly<Record<string, string>>;
