/** A file of texts: English → text. */
export type Texts = Readonly<Record<string, string>>;

export const TEXTS: string;
export const CHINESE: string;
export function textsIn(source: string): string[];
export function textsOf(files: readonly string[]): string[];
export function sourcesByRoom(): Map<string, string[]>;
export function faultOf(english: string, chinese: string | undefined): string | undefined;
export function readTexts(file: string): Texts;
export function textsFile(texts: Texts): string;
