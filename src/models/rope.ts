import * as l10n from '@vscode/l10n';
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

/**
 * The rotary embedding of all layers: `rope_theta` and `rope_scaling` (Transformers 4) or `rope_parameters`
 * (Transformers 5); where a config has both, the older ones count, as there.
 *
 * @throws ProblemError `model.rope-type`; `model.config`: a number that is missing or not above 0, heads beyond any
 *   model's; `model.unsupported`: heads that are turned in part
 */
export function readRope(config: ConfigReader, headSize: number): Rope {
  const parameters = config.object('rope_scaling') ?? config.object('rope_parameters');
  return makeRope(config, parameters, theta(config, parameters, 'rope_theta', 10_000), headSize);
}

/**
 * Gemma 3's two: `full_attention` and `sliding_attention` of `rope_parameters` (Transformers 5), or `rope_theta` with
 * `rope_scaling` and `rope_local_base_freq` (Transformers 4).
 *
 * @throws ProblemError as {@link readRope}; `model.config` where `rope_parameters` has neither
 */
export function readRopePair(config: ConfigReader, headSize: number): { full: Rope; sliding: Rope } {
  const both = config.object('rope_parameters');
  if (both !== undefined && !both.has('full_attention') && !both.has('sliding_attention')) {
    config.wrong('rope_parameters', l10n.t`full_attention and sliding_attention, each with its own parameters`);
  }
  const full = config.object('rope_scaling') ?? both?.object('full_attention');
  const sliding = both?.object('sliding_attention');
  // A scaling of the older form is laid over the parameters of the newer one, whose base stays.
  const base = full?.has('rope_theta') === true ? full : both?.object('full_attention');
  return {
    full: makeRope(config, full, theta(config, base, 'rope_theta', 1_000_000), headSize),
    sliding: makeRope(config, sliding, theta(config, sliding, 'rope_local_base_freq', 10_000), headSize),
  };
}

function theta(config: ConfigReader, parameters: ConfigReader | undefined, key: string, usual: number): number {
  return parameters?.has('rope_theta') === true ? parameters.positive('rope_theta') : config.positive(key, usual);
}

const SUPPORTED = ['default', 'linear', 'llama3'];

/**
 * Base frequencies: Su et al. 2021, section 3.2.2; `linear`: Chen et al. 2023, eq. 4 (position interpolation);
 * `llama3`: Llama 3.1's rule, by wavelength: long ones divided by `factor`, short ones kept, between them mixed.
 */
function makeRope(
  config: ConfigReader,
  parameters: ConfigReader | undefined,
  base: number,
  headSize: number,
): Rope {
  if (headSize > MAX_HEAD_SIZE) {
    config.fail(
      l10n.t`attention heads have size ${headSize} by the model's config`,
      l10n.t`at most ${MAX_HEAD_SIZE}`,
    );
  }
  for (const each of parameters === undefined ? [config] : [config, parameters]) {
    if (each.number('partial_rotary_factor', 1) !== 1) {
      each.unsupported('partial_rotary_factor', l10n.t`1: all of a head is turned`);
    }
  }
  const frequencies = Array.from({ length: headSize / 2 }, (_, pair) => base ** ((-2 * pair) / headSize));
  const type = parameters?.text('rope_type', parameters.text('type', 'default')) ?? 'default';
  if (parameters === undefined || type === 'default') return { frequencies };
  switch (type) {
    case 'linear': {
      const factor = parameters.positive('factor');
      return { frequencies: frequencies.map((frequency) => frequency / factor) };
    }
    case 'llama3': {
      const factors = llama3RopeFactors(headSize, base, {
        factor: parameters.positive('factor'),
        low: parameters.positive('low_freq_factor'),
        high: parameters.positive('high_freq_factor'),
        original: parameters.positive('original_max_position_embeddings'),
      });
      return { frequencies: frequencies.map((frequency, pair) => frequency / factors[pair]!) };
    }
    default:
      return config.fail(
        l10n.t`the model scales its rotary embedding by the rule '${type}'`,
        l10n.t`one of ${SUPPORTED.join(', ')}`,
        'model.rope-type',
      );
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
