import type { JsonObject } from '../common/json.js';

/**
 * Gemma's longest token has 31 characters, and all of them together 1.5 million. Every way to cut each token is
 * tried, so that the work grows with the one times the other.
 */
export const MAX_PIECE = 128;
export const MAX_PIECES = 2 ** 23;

/** The parts of a `tokenizer.json` that depend on the kind of tokenizer. */
export interface TokenizerForm {
  readonly normalizer: JsonObject | null;
  readonly pre_tokenizer: JsonObject;
  readonly decoder: JsonObject;
  /** Applied where no token is put around a text. */
  readonly post_processor: JsonObject | null;
  readonly model: JsonObject;
}

/**
 * Gemma's SentencePiece vocabulary as the BPE that its `tokenizer.json` has: spaces are ▁, a text is one word, and
 * characters without a token are bytes.
 *
 * @param tokens in the order of their ids, as {@link spelledSpaces} has them
 * @param first ids of the tokens whose merges come before all others (user-defined ones: runs of white space, tags)
 */
export function sentencePieceForm(
  tokens: readonly string[],
  vocabulary: ReadonlyMap<string, number>,
  first: ReadonlySet<number>,
  unknown: string | undefined,
): TokenizerForm {
  return {
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
      ],
    },
    post_processor: null,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unknown ?? null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary),
      merges: impliedMerges(tokens, vocabulary, first),
    },
  };
}

/** Files hold tokens of spaces alone with real spaces, all others with ▁. */
export function spelledSpaces(token: string): string {
  return /^ +$/.test(token) ? '▁'.repeat(token.length) : token;
}

/**
 * The merges that the file leaves out: each way to make a token of two others. Tokens come in the order in which they
 * were learned, which is that of their ids (Gemma's scores do not follow it), and of one token's ways the one with the
 * longest left part. So Transformers derives them, and so the `tokenizer.json` of Gemma has them.
 */
function impliedMerges(
  tokens: readonly string[],
  vocabulary: ReadonlyMap<string, number>,
  first: ReadonlySet<number>,
): [string, string][] {
  const early: [string, string][] = [];
  const late: [string, string][] = [];
  tokens.forEach((token, id) => {
    const merges = first.has(id) ? early : late;
    for (let cut = token.length - 1; cut > 0; cut--) {
      const [left, right] = [token.slice(0, cut), token.slice(cut)];
      if (vocabulary.has(left) && vocabulary.has(right)) merges.push([left, right]);
    }
  });
  early.sort(([a, b], [c, d]) => c.length - a.length || d.length - b.length);
  return early.concat(late);
}
