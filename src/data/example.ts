/** One training row as tokens. Positions and masks are never derived from token ids. */
export interface Example {
  /** Token ids of prompt and answer, final end-of-text included. */
  readonly ids: readonly number[];
  /** 1 where the token is supervised (it is predicted and counted in the loss), else 0. Same length as `ids`. */
  readonly supervised: readonly (0 | 1)[];
  /** Where the row came from, for messages and samples. */
  readonly file: string;
  readonly line: number;
}

/**
 * A padded batch, row-major. Rows shorter than `length` are filled with segment 0; packed rows hold several
 * examples, told apart by their segment numbers (1, 2, …), each with positions from 0.
 */
export interface Batch {
  readonly rows: number;
  readonly length: number;
  /** [rows, length] */
  readonly inputIds: Int32Array;
  /** [rows, length] position of the token within its example */
  readonly positions: Int32Array;
  /** [rows, length] 0 = padding; attention stays within equal numbers */
  readonly segments: Int32Array;
  /** [n] flat indices (row · length + column) of the positions that predict a supervised token */
  readonly predictors: Int32Array;
  /** [n] the token id that each predictor has to predict */
  readonly targets: Int32Array;
  /** How many examples the batch holds. */
  readonly examples: number;
}

/** What became of the rows of a data set: everything that was not used is counted and named. */
export interface DataReport {
  readonly files: readonly string[];
  readonly format: string;
  readonly rows: number;
  readonly kept: number;
  /** Rows that could not be read: their line and why. At most 20 are listed; `brokenCount` counts all. */
  readonly broken: readonly { readonly file: string; readonly line: number; readonly reason: string }[];
  readonly brokenCount: number;
  /** Rows cut to `max_length`. */
  readonly truncated: number;
  /** Rows dropped because nothing supervised was left after the cut. */
  readonly unsupervised: number;
  readonly tokens: number;
  readonly supervisedTokens: number;
}
