/** A row's class, and the one that was told. */
export interface ToldClass {
  readonly wanted: number;
  readonly told: number;
}

/**
 * The mean of the classes' F1 scores, F1 = 2·tp / (2·tp + fp + fn), over all classes that rows have or were told to have,
 * as scikit-learn counts them. NaN without rows.
 */
export function macroF1(rows: readonly ToldClass[]): number {
  const counts = new Map<number, { right: number; named: number }>();
  const count = (one: number, right: number): void => {
    const known = counts.get(one) ?? { right: 0, named: 0 };
    counts.set(one, { right: known.right + right, named: known.named + 1 });
  };
  // Named twice by a row that is right, 2·tp; once as wanted, fn, or as told, fp.
  for (const { wanted, told } of rows) {
    count(wanted, wanted === told ? 2 : 0);
    count(told, 0);
  }
  const scores = [...counts.values()].map(({ right, named }) => right / named);
  return scores.reduce((sum, score) => sum + score, 0) / scores.length;
}
