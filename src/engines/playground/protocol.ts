import type { Problem } from '../../common/problem.js';
import type { GenerateOptions } from '../../generation/options.js';
import type { ChatMessage } from '../../models/tokenizer.js';

/** Told with the first message: two builds that do not understand each other say so instead of guessing. */
export const PLAYGROUND_PROTOCOL = 3;

/** The base model and three adapters: more columns are too narrow to read, and each makes all others wait. */
export const MAX_COLUMNS = 4;

/** The column of the base model as it is; other columns are named by whoever attaches them. */
export const BASE_COLUMN = 'base';

/** How an adapter of a small model acts on the base: what it changes in that model is added to the base's logits. */
export interface Steering {
  /** The small model, as commands take it. */
  readonly model: string;
  /** Factor on what the adapter changes. */
  readonly alpha: number;
}

/** What a column continues: a text as it is, or a conversation through the model's chat template. */
export type PlaygroundPrompt = string | readonly ChatMessage[];

/** Options that a person may set; which ids end an answer is the tokenizer's to say. */
export type PlaygroundOptions = Omit<GenerateOptions, 'eos_token_id' | 'tasks'>;

/** What the parent of a playground process sends. All but `stop` are taken one after the other. */
export type PlaygroundRequest =
  /** First of all, once. A relative path of the base starts at `folder`. */
  | { readonly type: 'open'; readonly protocol: number; readonly base: string; readonly folder?: string }
  /** Attaches the adapter in a folder, as a column of this name; with `steering`, to the small model that it names. */
  | {
      readonly type: 'attach';
      readonly column: string;
      readonly folder: string;
      readonly steering?: Steering | undefined;
    }
  | { readonly type: 'detach'; readonly column: string }
  /** Another factor for a column that steers. */
  | { readonly type: 'steer'; readonly column: string; readonly alpha: number }
  /** Lets the columns answer, in turns, token by token. */
  | {
      readonly type: 'generate';
      readonly request: number;
      readonly columns: readonly ColumnPrompt[];
      readonly options: PlaygroundOptions;
    }
  /** Ends the answers of a request after their present token. */
  | { readonly type: 'stop'; readonly request: number };

export interface ColumnPrompt {
  readonly column: string;
  readonly prompt: PlaygroundPrompt;
}

/** What a playground process tells. */
export type PlaygroundEvent =
  | { readonly type: 'progress'; readonly activity: string; readonly done: number; readonly total: number }
  | { readonly type: 'opened'; readonly base: OpenedBase }
  | { readonly type: 'attached'; readonly column: string; readonly warnings: readonly Problem[] }
  | { readonly type: 'detached'; readonly column: string }
  /**
   * Something did not come about: opening the base (neither column nor request), attaching (a column), an answer
   * (both). Everything else goes on.
   */
  | { readonly type: 'refused'; readonly column?: string; readonly request?: number; readonly problem: Problem }
  | { readonly type: 'token'; readonly request: number; readonly column: string; readonly token: AnswerToken }
  /** What the base model gives the tokens of another column's answer, from the token at `from` on. */
  | {
      readonly type: 'scored';
      readonly request: number;
      readonly column: string;
      readonly from: number;
      /** log p(token | prompt, answer before it) under the base model, in nats. */
      readonly base: readonly number[];
    }
  | { readonly type: 'answered'; readonly request: number; readonly column: string; readonly answer: Answer }
  /** All columns of a request have answered or were refused. */
  | { readonly type: 'done'; readonly request: number };

/** What is told of a process, from outside: its events, and that it ended without being asked to. */
export type PlaygroundTold = PlaygroundEvent | { readonly type: 'ended'; readonly problem: Problem };

export interface OpenedBase {
  /** The folder or file that was opened, absolute. */
  readonly place: string;
  /** Whether the model has a chat template. */
  readonly chat: boolean;
  /** Tokens that prompt and answer have room for together. */
  readonly positionLimit: number;
  readonly warnings: readonly Problem[];
}

export interface AnswerToken {
  readonly id: number;
  /** What became certain with it: whole characters, '' where it holds a part of one, or is the end of the text. */
  readonly text: string;
  /** log p(token | prompt, answer before it) under the column's own model, in nats. */
  readonly own: number;
  /** It ends the answer and is no part of its text. */
  readonly end?: true;
}

export interface Answer {
  readonly text: string;
  /** What of the text came with no token: it was held back for the rest of a character that never came. */
  readonly rest: string;
  readonly reason: 'eos' | 'length' | 'stopped';
  readonly promptTokens: number;
  /** Generated, the end of the text included. */
  readonly tokens: number;
  /** Seconds of the column's own work up to its first token; waiting for its turn is not in it. */
  readonly firstToken: number;
  /** Seconds of its own work from there to its last token. */
  readonly afterFirst: number;
}
