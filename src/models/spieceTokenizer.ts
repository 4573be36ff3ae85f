import * as l10n from '@vscode/l10n';
import type { Json, JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import { readSentencePiece } from './sentencePiece.js';

/** Sentinels behind the vocabulary, where a T5's tokenizer_config.json does not say. */
const EXTRA_IDS = 100;
const MOST_EXTRA_IDS = 10_000;

/**
 * A `tokenizer.json` for T5's `spiece.model`, as Transformers' T5Tokenizer makes one: words are split at spaces, which
 * become ▁ before them; texts end in </s>; sentinels (`<extra_id_0>`, the last one first) stand behind the vocabulary.
 *
 * @param config tokenizer_config.json
 * @throws ProblemError `tokenizer.form`; `tokenizer.sentencepiece` for a model that is no unigram model
 */
export function spieceTokenizer(bytes: Uint8Array, config: JsonObject, file: string): JsonObject {
  const { pieces, modelType, unkId, charsmap } = readSentencePiece(bytes, file);
  const endId = pieces.findIndex(([text]) => text === END);
  if (modelType !== UNIGRAM || endId < 0) {
    fail({
      code: 'tokenizer.sentencepiece',
      message: l10n.t`the SentencePiece model is not one of T5's: no unigram model with ${END}`,
      where: { file },
      expected: l10n.t`tokenizer.json, the "fast" tokenizer of Hugging Face, or the spiece.model of a T5`,
      mend: l10n.t`Convert an older tokenizer once: AutoTokenizer.from_pretrained(…).save_pretrained(…) in Python.`,
    });
  }
  const given = config['extra_ids'] ?? EXTRA_IDS;
  const extra = typeof given === 'number' && given >= 0 && given <= MOST_EXTRA_IDS ? Math.floor(given) : EXTRA_IDS;
  const sentinels = Array.from({ length: extra }, (_, at): [string, number] => [
    `<extra_id_${extra - 1 - at}>`,
    0,
  ]);
  const vocabulary = [...pieces, ...sentinels];
  const special = (text: string, id: number): JsonObject => ({
    id,
    content: text,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const known = [PAD, END, UNKNOWN].flatMap((text) => {
    const id = pieces.findIndex(([piece]) => piece === text);
    return id < 0 ? [] : [special(text, id)];
  });
  const metaspace: JsonObject = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };
  const piece = (id: 'A' | 'B'): JsonObject => ({ Sequence: { id, type_id: 0 } });
  const end: JsonObject = { SpecialToken: { id: END, type_id: 0 } };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [...known, ...sentinels.map(([text], at) => special(text, pieces.length + at))],
    normalizer:
      charsmap.length === 0
        ? null
        : { type: 'Precompiled', precompiled_charsmap: Buffer.from(charsmap).toString('base64') },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace] },
    post_processor: {
      type: 'TemplateProcessing',
      single: [piece('A'), end],
      pair: [piece('A'), end, piece('B'), end],
      special_tokens: { [END]: { id: END, ids: [endId], tokens: [END] } },
    },
    decoder: metaspace,
    model: {
      type: 'Unigram',
      unk_id: unkId,
      vocab: vocabulary.map(([text, score]): Json => [text, score]),
      byte_fallback: false,
    },
  };
}

const UNIGRAM = 1;
const [PAD, END, UNKNOWN] = ['<pad>', '</s>', '<unk>'];
