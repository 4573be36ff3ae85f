import type { ChatMessage } from '../models/tokenizer.js';

/** What a row says, whatever its columns were called. */
export type Content =
  | { readonly kind: 'completion'; readonly prompt: string; readonly completion: string }
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[] }
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'classification';
      readonly text: string;
      readonly pair: string | undefined;
      /** The name of its class. */
      readonly label: string;
    };
