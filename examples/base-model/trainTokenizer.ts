// Trains the base model's tokenizer: `trainTokenizer.ts CORPUS.jsonl OUT` writes tokenizer.json and the small files
// that Transformers reads beside it.
import path from 'node:path';
import { writeFileWhole } from '../../src/common/files.js';
import type { Json } from '../../src/common/json.js';
import { splitWords, trainBpe } from './bpe.js';
import { readDocuments } from './jsonl.js';

const vocabularySize = 2048;
/** Their place in the list is their id. */
const specialTokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];
const [endOfText] = specialTokens;
const modelMaxLength = 512;
const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const here = import.meta.dirname;
const corpus = process.argv[2] ?? path.join(here, 'build', 'train.jsonl');
const out = process.argv[3] ?? path.join(here, 'peft-studio-tiny');

const counts = new Map<string, number>();
for (const document of await readDocuments(corpus)) {
  // Special tokens are cut out before words are: no merge may learn their letters.
  for (const text of document.split(/<\|(?:endoftext|im_start|im_end)\|>/)) {
    for (const word of splitWords(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
}
const { tokens, merges } = trainBpe(counts, vocabularySize - specialTokens.length);

const addedTokens = specialTokens.map((content, id) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
}));
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
const files: Readonly<Record<string, Json>> = {
  'tokenizer.json': {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens,
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Digits', individual_digits: true },
        { ...byteLevel, use_regex: true },
      ],
    },
    post_processor: null,
    decoder: { ...byteLevel, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries([...specialTokens, ...tokens].map((token, id) => [token, id])),
      merges: merges.map((pair) => pair.join(' ')),
    },
  },
  'tokenizer_config.json': {
    add_prefix_space: false,
    added_tokens_decoder: Object.fromEntries(addedTokens.map(({ id, ...token }) => [id, token])),
    bos_token: endOfText!,
    chat_template: chatTemplate,
    clean_up_tokenization_spaces: false,
    eos_token: endOfText!,
    model_max_length: modelMaxLength,
    pad_token: endOfText!,
    tokenizer_class: 'PreTrainedTokenizerFast',
  },
  'special_tokens_map.json': { bos_token: endOfText!, eos_token: endOfText!, pad_token: endOfText! },
  'generation_config.json': { bos_token_id: 0, eos_token_id: 0, pad_token_id: 0 },
};
for (const [name, content] of Object.entries(files)) {
  await writeFileWhole(path.join(out, name), `${JSON.stringify(content, null, 1)}\n`);
}
console.log(
  `${counts.size} different words, ${tokens.length + specialTokens.length} tokens, ${merges.length} merges.`,
);
