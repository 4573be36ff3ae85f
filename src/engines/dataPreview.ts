import type { Problem } from '../common/problem.js';
import type { DataReport } from '../data/example.js';

/** The data of a run file as the run would see them. */
export interface DataPreview {
  /** The run file, absolute. */
  readonly file: string;
  /** The folder or GGUF file, or an id of the hub. */
  readonly model: string;
  /** Most tokens in a row; longer ones are cut. */
  readonly maxLength: number;
  readonly packing: boolean;
  readonly splits: readonly SplitPreview[];
  readonly warnings: readonly Problem[];
}

export interface SplitPreview {
  readonly split: 'train' | 'validation';
  readonly report: DataReport;
  /** The first rows without a supervised token; `report.unsupervised` counts all. */
  readonly dropped: readonly { readonly file: string; readonly line: number; readonly reason: string }[];
  readonly lengths: LengthCounts;
  /** The first rows that are kept, and the first that were cut; in the order of the files. */
  readonly samples: readonly PreviewSample[];
}

/** How many kept rows have how many tokens. */
export interface LengthCounts {
  readonly shortest: number;
  readonly median: number;
  /** 95 of 100 rows have at most this many. */
  readonly p95: number;
  readonly longest: number;
  /** Of equal width; `from` and `to` are both included. */
  readonly bins: readonly { readonly from: number; readonly to: number; readonly rows: number }[];
}

export interface PreviewSample {
  /** Among the kept rows, from 1. */
  readonly number: number;
  readonly file: string;
  readonly line: number;
  readonly truncated: boolean;
  /** The name of its class, where the task is to tell classes apart: no token is supervised then. */
  readonly label?: string;
  /** Of the whole row; at most some thousand are in `tokens`. */
  readonly length: number;
  readonly supervised: number;
  readonly tokens: readonly PreviewToken[];
}

export interface PreviewToken {
  readonly id: number;
  /** Empty for a token that is a part of the character that a later one ends. */
  readonly text: string;
  readonly supervised: boolean;
  /** Absent: an ordinary token. */
  readonly special?: true;
}
