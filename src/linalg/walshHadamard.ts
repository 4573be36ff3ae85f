/**
 * H·x in place, for the Walsh–Hadamard matrix H of 2ᵏ numbers (Sylvester's order, not normalized: H·H = 2ᵏ·I), by
 * k rounds of sums and differences (Fino & Algazi 1976).
 * @param x 2ᵏ numbers, or several such vectors one behind the other
 * @param length 2ᵏ; default: all of x
 */
export function walshHadamard(x: Float64Array, length = x.length): Float64Array {
  for (let half = 1; half < length; half *= 2) {
    for (let start = 0; start < x.length; start += 2 * half) {
      for (let at = start; at < start + half; at++) {
        const [a, b] = [x[at]!, x[at + half]!];
        x[at] = a + b;
        x[at + half] = a - b;
      }
    }
  }
  return x;
}
