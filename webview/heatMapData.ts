import type { HeatRange } from './heatMapColors.js';

/** A map of numbers: rows of cells under column heads. */
export interface HeatMapData {
  /** What the columns are; absent: layers. */
  readonly corner?: string;
  readonly columns: readonly string[];
  /** Only the first and each so-manieth name is shown: of narrow columns. Screen readers get them all. */
  readonly nameEvery?: number;
  readonly rows: readonly HeatRow[];
  readonly range: HeatRange;
  /** Whether a cell can be opened. */
  readonly opens: boolean;
  /** What stands below while no cell is pointed at. */
  readonly hint: string;
  /**
   * Numbers on both sides of one, at which there is no colour: from there colours go to that of good at `largest`, which may
   * lie below, and as far to that of bad.
   */
  readonly middle?: number;
  /** In the cells, where there is room. */
  readonly formatShort: (value: number) => string;
}

export interface HeatRow {
  readonly name: string;
  /** Undefined: there is no such cell. */
  readonly cells: readonly (HeatCell | undefined)[];
}

export interface HeatCell {
  /** What of it is handed to `onOpen`. */
  readonly site: number;
  /** Undefined: nothing was told. */
  readonly value: number | undefined;
  /** All of it in words: read out, and shown for the cell that is pointed at. */
  readonly label: string;
}
