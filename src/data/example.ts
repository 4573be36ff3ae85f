/** One training row as tokens. Positions and masks are never derived from token ids. */
export interface Example {
  /** Token ids of prompt and answer, final end-of-text included. */
  readonly ids: readonly number[];
  /** 1 where the token is supervised (it is predicted and counted in the loss), else 0. Same length as `ids`. */
  readonly supervised: readonly (0 | 1)[];
  /**
   * Encoder-decoders: ids of what the encoder reads. `ids` are the decoder's then: the token that starts it, the answer.
   */
  readonly source?: readonly number[];
  /** Its task's place among those of the data set; absent where rows name none. */
  readonly task?: number;
  /** The number of its class, which the first token tells: of a row that has one, no token is supervised. */
  readonly label?: number;
  /** Which of two texts a token is of, as many as `ids`; absent where there is one. */
  readonly types?: readonly number[];
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
  /** [rows, length] which of two texts the token is of; 0 for padding, and where there is one text */
  readonly types: Int32Array;
  /** [rows, length] the task of the token's example; 0 for padding, and where rows name none */
  readonly tasks: Int32Array;
  /** [n] flat indices (row · length + column) of the positions that predict a supervised token */
  readonly predictors: Int32Array;
  /** [n] what each predictor has to predict: a token id, or the number of a class */
  readonly targets: Int32Array;
  /** How many examples the batch holds. */
  readonly examples: number;
  /** Where each of them lies, in the order of the rows. */
  readonly places: readonly ExamplePlace[];
  /** Encoder-decoders: what the encoder reads. */
  readonly source?: SourceBatch;
}

/** Where an example lies in a batch. */
export interface ExamplePlace {
  /** Its index among the examples that the batch was made of. */
  readonly example: number;
  /** Flat index (row · length + column) of its first token. */
  readonly start: number;
}

/** The sources of a batch, row-major; a source has its example's row and segment. */
export interface SourceBatch {
  readonly length: number;
  /** [rows, length] */
  readonly ids: Int32Array;
  /** [rows, length] 0 = padding */
  readonly segments: Int32Array;
  /** [rows, length] as in {@link Batch} */
  readonly tasks: Int32Array;
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
  /** Rows with a class have one prediction each. */
  readonly supervisedTokens: number;
  /** Where rows have classes, how many of each. */
  readonly classes?: readonly { readonly name: string; readonly rows: number }[];
}
