import type { Decoder } from '../generation/decoder.js';
import { createDecoder } from '../generation/decoder.js';
import { positionsInFront } from '../models/keysInFront.js';
import type { Tokenizer } from '../models/tokenizer.js';
import type { Runtime } from '../runtime/runtime.js';
import type { Io } from './io.js';
import { mapWeights } from './openAdapted.js';
import type { Adapted } from './openAdapted.js';

/** A model that can be read once it is known for how many positions. */
export interface DecoderSource {
  readonly tokenizer: Tokenizer;
  /** The most that there are, what methods put in front of a text included. */
  readonly maxPositions: number;
  /** What methods put in front of a text. */
  readonly inFront: number;
  /** @param positionLimit for what is in front, prompt and answer */
  compile(positionLimit: number): Promise<Decoder>;
  /** What there is to say once it has decoded. */
  afterwards?(): string | undefined;
}

/** A model with or without adapters. */
export function adaptedSource(adapted: Adapted, runtime: Runtime, io: Io): DecoderSource {
  return {
    tokenizer: adapted.tokenizer,
    maxPositions: adapted.model.maxPositions,
    inFront: positionsInFront(adapted.methods.map((method) => method.hooks)),
    async compile(positionLimit) {
      const weights = await mapWeights(adapted.checkpoint, io);
      return createDecoder({ ...adapted, runtime, weights, positionLimit });
    },
  };
}
