import { Worker } from 'node:worker_threads';
import type { Quantity } from '../memory/largest.js';
import type { ConfigPath } from '../config/tree.js';
import { largestAnswer, memoryAnswer } from './memoryAnswer.js';
import type { LargestAnswer, MemoryAnswer, MemoryQuestion } from './memoryAnswer.js';

/** Answers questions about memory, here or in a thread. Each may end with an AbortError. */
export interface MemoryAsker {
  answer(question: MemoryQuestion, signal: AbortSignal): Promise<MemoryAnswer | undefined>;
  largest(
    question: MemoryQuestion,
    at: ConfigPath,
    quantity: Quantity,
    signal: AbortSignal,
  ): Promise<LargestAnswer | undefined>;
}

/** In this thread: a plan takes it for half a second. */
export const askedHere: MemoryAsker = {
  answer: memoryAnswer,
  largest: (question, at, quantity, signal) => largestAnswer(question, at, quantity, signal),
};

/** What a thread is asked; a question that nobody waits for any more is left. */
export type ThreadRequest =
  | { readonly id: number; readonly type: 'answer'; readonly question: MemoryQuestion }
  | {
      readonly id: number;
      readonly type: 'largest';
      readonly question: MemoryQuestion;
      readonly at: ConfigPath;
      readonly quantity: Quantity;
    }
  | { readonly id: number; readonly type: 'leave' };

export interface ThreadReply {
  readonly id: number;
  readonly answer?: unknown;
  /** Why there is none: a fault. */
  readonly fault?: string;
}

/** A plan's graphs take tens of megabytes; a thread that needs more than this ends instead of the editor. */
const MAX_HEAP_MB = 1024;

interface Waiting {
  /** The run file's text. */
  readonly about: string;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A thread that answers, started with the first question, and anew with the next one after it ended. It keeps no process
 * from ending.
 * @param script its program, absolute (`memoryThread.ts`, bundled)
 */
export function askedInThread(script: string): MemoryAsker {
  const waiting = new Map<number, Waiting>();
  // What a thread ended of is not asked again: it would end of it again.
  const fatal = new Set<string>();
  let worker: Worker | undefined;
  let last = 0;

  function start(): Worker {
    const started = new Worker(script, { resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB } });
    const ended = (error: unknown): void => {
      if (worker === started) worker = undefined;
      for (const { about, reject } of waiting.values()) {
        fatal.add(about);
        reject(error);
      }
      waiting.clear();
    };
    started.on('message', ({ id, answer, fault }: ThreadReply) => {
      const asked = waiting.get(id);
      waiting.delete(id);
      if (fault === undefined) asked?.resolve(answer);
      else asked?.reject(new Error(fault));
    });
    started.on('error', ended);
    started.on('exit', (code) => ended(new Error(`The thread that plans memory ended with code ${code}.`)));
    // After the listeners: one for messages would keep the process alive again.
    started.unref();
    return started;
  }

  async function ask(request: Question, signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted();
    const about = request.question.text;
    if (fatal.has(about)) return undefined;
    worker ??= start();
    const asked = worker;
    const id = (last += 1);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        waiting.delete(id);
        asked.postMessage({ id, type: 'leave' } satisfies ThreadRequest);
        reject(signal.reason as Error);
      };
      const done = (): void => signal.removeEventListener('abort', leave);
      signal.addEventListener('abort', leave, { once: true });
      waiting.set(id, {
        about,
        resolve: (answer) => (done(), resolve(answer)),
        reject: (error) => (done(), reject(error as Error)),
      });
      asked.postMessage({ ...request, id });
    });
  }

  return {
    answer: (question, signal) => ask({ type: 'answer', question }, signal) as Promise<MemoryAnswer | undefined>,
    largest: (question, at, quantity, signal) =>
      ask({ type: 'largest', question, at, quantity }, signal) as Promise<LargestAnswer | undefined>,
  };
}

/** A request before it has its number. */
type Question = WithoutId<Exclude<ThreadRequest, { type: 'leave' }>>;
type WithoutId<Request> = Request extends unknown ? Omit<Request, 'id'> : never;
