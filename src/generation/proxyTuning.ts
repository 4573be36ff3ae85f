import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Tokenizer } from '../models/tokenizer.js';
import type { Decoder } from './decoder.js';

/** A large base, and two small models of its vocabulary: one that was tuned, one as it was before. */
export interface ProxyParts {
  readonly base: Decoder;
  readonly expert: Decoder;
  readonly antiExpert: Decoder;
  /** Factor on what tuning changed in the small model; 1: as it is, 0: the base alone. */
  readonly alpha: number;
}

/**
 * Proxy-tuning (Liu et al. 2024, eq. 2): the base decodes as if it had been tuned, though no weight of it is touched.
 * Of each next token p = softmax(s_M + α (s_M⁺ − s_M⁻)), with the logits s_M of the base, s_M⁺ of the expert, s_M⁻ of
 * the anti-expert; temperature and cuts act on that sum. The paper has α = 1; other values are in its section 6.
 *
 * `use` changes the expert's numbers.
 */
export function proxyDecoder({ base, expert, antiExpert, alpha }: ProxyParts): Decoder {
  const parts = [base, expert, antiExpert];
  return {
    vocabSize: base.vocabSize,
    positionLimit: Math.min(...parts.map((part) => part.positionLimit)),
    ...(base.startTokenId === undefined ? {} : { startTokenId: base.startTokenId }),
    read(rows, tasks) {
      const readings = parts.map((part) => part.read(rows, tasks));
      return {
        async run(tokens, predictors = 1) {
          const logits: Float32Array[] = [];
          for (const reading of readings) logits.push(await reading.run(tokens, predictors));
          const [large, tuned, untuned] = logits.map((each, at) => ({
            logits: each,
            vocabSize: parts[at]!.vocabSize,
          }));
          return proxiedLogits(large!, tuned!, untuned!, alpha);
        },
        keepRows(kept) {
          for (const reading of readings) reading.keepRows(kept);
        },
      };
    },
    use: (values) => expert.use(values),
    async dispose() {
      // An anti-expert may be the expert without its adapter, or the base itself.
      for (const part of new Set(parts)) await part.dispose();
    },
  };
}

/** Logits of some rows, [rows, vocabSize]. */
interface RowLogits {
  readonly logits: Float32Array;
  readonly vocabSize: number;
}

/**
 * s_M + α (s_M⁺ − s_M⁻), [rows, the base's vocabulary]. Models of one tokenizer may pad their vocabularies to different
 * lengths: a token that the small models do not have keeps the base's logit, and one that only they have is left out.
 */
export function proxiedLogits(
  base: RowLogits,
  expert: RowLogits,
  antiExpert: RowLogits,
  alpha: number,
): Float32Array {
  const { vocabSize } = base;
  const shared = Math.min(vocabSize, expert.vocabSize, antiExpert.vocabSize);
  const logits = base.logits.slice();
  for (let row = 0; row * vocabSize < logits.length; row++) {
    for (let id = 0; id < shared; id++) {
      const tuned = expert.logits[row * expert.vocabSize + id]!;
      const untuned = antiExpert.logits[row * antiExpert.vocabSize + id]!;
      logits[row * vocabSize + id]! += alpha * (tuned - untuned);
    }
  }
  return logits;
}

/**
 * Logits are added token by token, so both models have to mean the same token by an id.
 * @throws ProblemError `proxy.vocabulary` naming the first id that they read differently
 */
export function checkSameVocabulary(base: Tokenizer, expert: Tokenizer): void {
  const shared = Math.min(base.vocabSize, expert.vocabSize);
  const read = (tokenizer: Tokenizer, id: number): string => tokenizer.decode([id], { skipSpecialTokens: false });
  for (let id = 0; id < shared; id++) {
    const [inBase, inExpert] = [read(base, id), read(expert, id)];
    if (inBase === inExpert) continue;
    fail({
      code: 'proxy.vocabulary',
      message: l10n.t`token ${id} is ${JSON.stringify(inExpert)} to the small model and ${JSON.stringify(inBase)} to the base model`,
      expected: l10n.t`two models of one tokenizer: proxy-tuning adds their logits token by token`,
      mend: l10n.t`Tune a small model of the base model's family.`,
    });
  }
}
