/** From one quantile to the next they are more than enough for double precision. */
const STEPS = 10;

/**
 * The quantiles of the standard normal distribution at (i + ½) / count, i = 0 … count − 1, rising. By Newton's method on
 * Φ(x) = ½ + φ(x)·Σ x²ⁿ⁺¹ / (1·3·5·…·(2n + 1)) (Marsaglia 2004), from the middle outwards.
 * @param count even
 */
export function normalQuantiles(count: number): Float64Array {
  const quantiles = new Float64Array(count);
  let x = 0;
  for (let at = count / 2; at < count; at++) {
    const wanted = (at + 0.5) / count;
    for (let step = 0; step < STEPS; step++) x += (wanted - distribution(x)) / density(x);
    quantiles[at] = x;
    quantiles[count - 1 - at] = -x;
  }
  return quantiles;
}

function density(x: number): number {
  return Math.exp(-(x * x) / 2) / Math.sqrt(2 * Math.PI);
}

function distribution(x: number): number {
  let [term, sum] = [x, x];
  for (let odd = 3; Math.abs(term) > 1e-17 * Math.abs(sum); odd += 2) {
    term *= (x * x) / odd;
    sum += term;
  }
  return 0.5 + density(x) * sum;
}
