import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';

/** What every Llama 3.1, 3.2 and 3.3 model has; a GGUF file keeps the resulting factors only. */
const LOW_FREQ_FACTOR = 1;
const HIGH_FREQ_FACTOR = 4;
const ORIGINAL_POSITIONS = 8192;

/**
 * The divisors that Llama 3 scaling applies to the rotary frequencies θ^(−2i/d), i < d/2: 1 for wavelengths
 * below original/high, `factor` above original/low, smooth between (as in Transformers'
 * `_compute_llama3_parameters`).
 */
export function llama3RopeFactors(
  headDim: number,
  theta: number,
  scaling: { factor: number; low: number; high: number; original: number },
): number[] {
  const { factor, low, high, original } = scaling;
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / headDim);
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    const smooth = (original / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/**
 * `rope_scaling` whose factors a GGUF file's `rope_freqs` tensor holds. The parameters themselves are not in
 * the file: those of the Llama 3 family are assumed and the resulting factors compared with the file's.
 * Error: `gguf.rope-factors` when they differ.
 */
export function llama3RopeScaling(factors: Float32Array, model: { file: string; theta: number }): JsonObject {
  const factor = factors.reduce((largest, value) => Math.max(largest, value), 1);
  const scaling = { factor, low: LOW_FREQ_FACTOR, high: HIGH_FREQ_FACTOR, original: ORIGINAL_POSITIONS };
  const expected = llama3RopeFactors(2 * factors.length, model.theta, scaling);
  const differs = expected.findIndex((value, i) => !(Math.abs(value - factors[i]!) <= 1e-4 * value));
  if (differs >= 0) {
    fail({
      code: 'gguf.rope-factors',
      message: l10n.t`rope_freqs.weight holds ${String(factors[differs])} at ${differs}`,
      where: { file: model.file },
      expected: l10n.t`${String(expected[differs])}, as Llama 3's scaling by ${factor} from ${ORIGINAL_POSITIONS} positions gives`,
      mend: l10n.t`Use the model as a Hugging Face folder: its config.json has the parameters.`,
    });
  }
  return {
    rope_type: 'llama3',
    factor,
    low_freq_factor: LOW_FREQ_FACTOR,
    high_freq_factor: HIGH_FREQ_FACTOR,
    original_max_position_embeddings: ORIGINAL_POSITIONS,
  };
}
