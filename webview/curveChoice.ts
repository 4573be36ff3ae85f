/** What the user chose for the curves; kept over a reload of the page. */
export interface CurvesChoice {
  /** The picture that is large. */
  picture: string;
  /** Weight of the past in the moving average, as the list has it. */
  smoothing: string;
  axis: string;
  /** The pictures whose axis is logarithmic. */
  logarithmic: readonly string[];
}

/** The choice of a user who has not chosen yet. */
export function freshChoice(): CurvesChoice {
  return { picture: 'loss', smoothing: '0.9', axis: 'step', logarithmic: [] };
}
