/** Text to token ids and back, as the checkpoint's `tokenizer.json` (or GGUF metadata) defines it. */
export interface Tokenizer {
  readonly vocabSize: number;
  readonly bosTokenId: number | undefined;
  /** Ends a text in training. */
  readonly eosTokenId: number | undefined;
  /** Every id that ends a generation, {@link eosTokenId} first: models with turns often have several. */
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | undefined;
  /** Stands for a token that is to be guessed (`mask_token`); absent: the tokenizer has none. */
  readonly maskTokenId?: number;
  /** Encoder-decoders: the token that answers begin with. The encoder reads prompts then. */
  readonly decoderStartId?: number;
  /** Jinja source of the chat template, if the checkpoint has one. */
  readonly chatTemplate: string | undefined;
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /** Two texts as one row with its special tokens; `types` says of each token which of the texts it is of (0, 1). */
  encodePair(text: string, pair: string): { readonly ids: number[]; readonly types: number[] };
  decode(ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
  /** Renders messages with the chat template. Throws a ProblemError when there is none or it fails. */
  applyChatTemplate(messages: readonly ChatMessage[], options: { addGenerationPrompt: boolean }): string;
  /**
   * The files that a Hugging Face folder needs to hold this tokenizer (`tokenizer.json`,
   * `tokenizer_config.json`, …), for merged models and adapters.
   */
  files(): Promise<ReadonlyMap<string, Uint8Array>>;
}

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}
