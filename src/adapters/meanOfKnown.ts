/** The weighted mean of those that have a value; null where none has. */
export function meanOfKnown(
  weighted: readonly (readonly [value: number | null, weight: number])[],
): number | null {
  let [sum, weights] = [0, 0];
  for (const [value, weight] of weighted) {
    if (value === null) continue;
    sum += weight * value;
    weights += weight;
  }
  return weights === 0 ? null : sum / weights;
}
