import { fail } from '../common/problem.js';
import type { Constant } from '../tensor/tensor.js';
import { constant } from '../tensor/tensor.js';
import type { ConfigReader } from './configReader.js';
import { llama3RopeFactors } from './ropeFactors.js';

/** The largest in use is 256: a config may claim any, and a list of frequencies is made before shapes are known. */
const MAX_HEAD_SIZE = 2 ** 16;

/** How angles of the rotary embedding grow with the position. */
export interface Rope {
  /** Radians per position for each of the headSize / 2 pairs. */
  readonly frequencies: readonly number[];
}

const SUPPORTED = ['default', 'linear', 'llama3'];

/**
 * Reads `rope_theta` and `rope_scaling` (Transformers 4) or `rope_parameters` (Transformers 5).
 * Base frequencies: Su et al. 2021, section 3.2.2; `linear`: Chen et al. 2023, eq. 4 (position interpolation);
 * `llama3`: Llama 3.1's rule, by wavelength: long ones divided by `factor`, short ones kept, between them mixed.
 *
 * @throws ProblemError `model.rope-type`, `model.config`: a number that is missing or not above 0, heads beyond any
 *   model's
 */
export function readRope(config: ConfigReader, headSize: number, source: string): Rope {
  if (headSize > MAX_HEAD_SIZE) {
    fail({
      code: 'model.config',
      message: `attention heads have size ${headSize} by the model's config`,
      where: { file: source },
      expected: `at most ${MAX_HEAD_SIZE}`,
      mend: 'Use a model folder as Transformers saves it (save_pretrained), or mend its config.json.',
    });
  }
  const scaling = config.object('rope_parameters') ?? config.object('rope_scaling');
  const theta = scaling?.has('rope_theta')
    ? scaling.positive('rope_theta')
    : config.positive('rope_theta', 10_000);
  const base = Array.from({ length: headSize / 2 }, (_, pair) => theta ** ((-2 * pair) / headSize));
  const type = scaling?.text('rope_type', scaling.text('type', 'default')) ?? 'default';
  if (scaling === undefined || type === 'default') return { frequencies: base };
  switch (type) {
    case 'linear': {
      const factor = scaling.positive('factor');
      return { frequencies: base.map((frequency) => frequency / factor) };
    }
    case 'llama3': {
      const factors = llama3RopeFactors(headSize, theta, {
        factor: scaling.positive('factor'),
        low: scaling.positive('low_freq_factor'),
        high: scaling.positive('high_freq_factor'),
        original: scaling.positive('original_max_position_embeddings'),
      });
      return { frequencies: base.map((frequency, pair) => frequency / factors[pair]!) };
    }
    default:
      return fail({
        code: 'model.rope-type',
        message: `the model scales its rotary embedding by the rule '${type}'`,
        where: { file: source },
        expected: `one of ${SUPPORTED.join(', ')}`,
        mend: 'Use a model with one of these rules; others would change its results silently.',
      });
  }
}

/** cos and sin of position · frequency, each [positions, headSize / 2]. */
export function rotaryTables(rope: Rope, positions: number): { cos: Constant; sin: Constant } {
  const pairs = rope.frequencies.length;
  const cos = new Float32Array(positions * pairs);
  const sin = new Float32Array(positions * pairs);
  for (let position = 0; position < positions; position++) {
    rope.frequencies.forEach((frequency, pair) => {
      // Transformers multiplies in float32; so does this, or long positions would differ.
      const angle = Math.fround(position * Math.fround(frequency));
      cos[position * pairs + pair] = Math.cos(angle);
      sin[position * pairs + pair] = Math.sin(angle);
    });
  }
  return { cos: constant(cos, [positions, pairs]), sin: constant(sin, [positions, pairs]) };
}
