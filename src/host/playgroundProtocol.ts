import type { Problem } from '../common/problem.js';
import type { Answer, ColumnPrompt, PlaygroundEvent, PlaygroundOptions } from '../engines/playground/protocol.js';
import type { PlaygroundSetup } from '../engines/playground/setup.js';

/** Events about answers; what is about the setup is in the setup. */
export type AnswerEvent = Extract<PlaygroundEvent, { request?: number }>;

/** What the editor sends to the playground's page. Nothing is sent before the page said `ready`. */
export type ToPlayground =
  | {
      readonly type: 'setup';
      readonly setup: PlaygroundSetup;
      /** What the options are where nothing else is said. */
      readonly defaults: Required<PlaygroundOptions>;
    }
  /** What happened since, in order. */
  | { readonly type: 'answers'; readonly events: readonly AnswerEvent[] }
  /** Writes a prompt and runs it, as a person would. */
  | { readonly type: 'ask'; readonly prompt: string; readonly options: PlaygroundOptions };

/** What the page sends to the editor. */
export type FromPlayground =
  | { readonly type: 'ready' }
  | {
      readonly type: 'generate';
      readonly request: number;
      readonly columns: readonly ColumnPrompt[];
      readonly options: PlaygroundOptions;
    }
  | { readonly type: 'stop'; readonly request: number }
  | { readonly type: 'chooseBase' }
  | { readonly type: 'addAdapter' }
  | { readonly type: 'removeAdapter'; readonly column: string }
  | { readonly type: 'steer'; readonly column: string; readonly alpha: number }
  | { readonly type: 'copy'; readonly text: string }
  /** So many answers of a request are drawn to their end. */
  | { readonly type: 'drawn'; readonly request: number; readonly answers: number }
  | { readonly type: 'pageError'; readonly message: string };

/** What the page keeps over a reload of the window; the editor reads base and adapters out of it. */
export interface KeptPlayground {
  readonly setup: PlaygroundSetup;
  readonly mode: 'prompt' | 'chat';
  readonly system: string;
  readonly prompt: string;
  readonly options: PlaygroundOptions;
  readonly conversation: KeptConversation;
}

/** What was asked and answered so far. */
export interface KeptConversation {
  /** Of its form. */
  readonly version: number;
  readonly turns: readonly KeptTurn[];
  /** Turns before them that there was no room for. */
  readonly dropped: number;
}

export interface KeptTurn {
  readonly mode: 'prompt' | 'chat';
  readonly system: string;
  readonly prompt: string;
  readonly answers: readonly KeptAnswer[];
}

/** An answer without `answer` and `problem` was cut off. */
export interface KeptAnswer {
  readonly column: string;
  readonly name: string;
  readonly tokens: readonly KeptToken[];
  readonly answer?: Answer;
  readonly problem?: Problem;
}

/** Its probabilities in nats, to four places; the base's where it was known. */
export type KeptToken = readonly [id: number, text: string, own: number, base: number | null, end: boolean];
