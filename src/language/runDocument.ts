import type { Place } from '../common/problem.js';
import type { ParsedRunFile } from '../config/parseRunFile.js';
import type { ConfigPath } from '../config/tree.js';

/** One version of a run file's text as the editor holds it, parsed once for every question about it. */
export interface RunDocument {
  /** The run file, absolute. */
  readonly file: string;
  /** Its folder, absolute: relative paths start here. */
  readonly folder: string;
  readonly text: string;
  readonly parsed: ParsedRunFile;
}

/** What is being typed, and where. */
export interface Cursor {
  /** The key or value at the cursor: `['method', 0, 'target_modules', 1]`. A single method counts as a list of one. */
  readonly path: ConfigPath;
  readonly part: 'key' | 'value';
  /** What stands between the start of the key or value and the cursor, quotes left out. */
  readonly typed: string;
  /** What a suggestion replaces: the key or value with its quotes, empty where nothing stands yet. */
  readonly replaces: Place;
}

/** Something that could be written at the cursor. */
export interface Suggestion {
  readonly label: string;
  readonly kind: 'key' | 'value' | 'file' | 'folder' | 'model' | 'module' | 'column';
  /** One line beside the label: shape and layers of a module, size of a file. */
  readonly detail?: string;
  /** Markdown. */
  readonly documentation?: string;
  /** What is written instead of the label, already quoted where YAML needs it. */
  readonly insert?: string;
  /** Suggestions are sorted by this, then by label. */
  readonly order?: string;
}
