import * as l10n from '@vscode/l10n';
import { fail, messageOf } from '../common/problem.js';
import type { Tokenizer } from '../models/tokenizer.js';
import type { Decoder } from './decoder.js';
import type { Tokens } from './tokens.js';

/** A base model behind an HTTP server of OpenAI's completions interface. */
export interface RemoteBase {
  /** Where the interface starts: `http://127.0.0.1:8000/v1`. */
  readonly url: string;
  /** The model's name there. */
  readonly model: string;
  /** How many of the most likely tokens to ask for. OpenAI's own servers give 5 at most. */
  readonly topLogprobs: number;
  readonly apiKey?: string;
  /** Its tokenizer, that of the expert too. */
  readonly tokenizer: Tokenizer;
  readonly vocabSize: number;
  readonly positionLimit: number;
}

/** What the server kept to itself. */
export interface Truncation {
  /** Tokens that were asked for. */
  readonly tokens: number;
  /** Probability of all tokens that the server did not name, or named in a way that no id is known for: the mean and the largest. */
  readonly mean: number;
  readonly largest: number;
}

/** A base model that is asked over HTTP; it cannot be tuned, only steered. */
export interface RemoteDecoder extends Decoder {
  truncation(): Truncation;
}

/** A server that says nothing for so long is not waited for. */
const TIMEOUT_MS = 60_000;
/** Answers hold a token and some of its rivals: whatever is longer is none. */
const MAX_ANSWER_BYTES = 1 << 20;

/**
 * Decodes with a base model that only a server has. It tells the log-probabilities of the most likely next tokens
 * alone, so every other token is left out of what is drawn from (the setting of Liu et al. 2024, section 6, where the
 * base gives its five likeliest): {@link RemoteDecoder.truncation} says how much that was. Logits and
 * log-probabilities differ by one number for all tokens, which softmax does not see.
 */
export function remoteDecoder(remote: RemoteBase): RemoteDecoder {
  const idOf = tokenIds(remote.tokenizer, remote.vocabSize);
  let [tokens, left, largest] = [0, 0, 0];

  async function next(ids: readonly number[]): Promise<Float32Array> {
    const logits = new Float32Array(remote.vocabSize).fill(-Infinity);
    let named = 0;
    for (const [text, logProbability] of await ask(remote, ids)) {
      const id = idOf(text);
      if (id === undefined) continue;
      logits[id] = logProbability;
      named += Math.exp(logProbability);
    }
    if (named === 0) unknownTokens(remote);
    const rest = Math.max(0, 1 - named);
    [tokens, left, largest] = [tokens + 1, left + rest, Math.max(largest, rest)];
    return logits;
  }

  return {
    vocabSize: remote.vocabSize,
    positionLimit: remote.positionLimit,
    read(rows) {
      let texts = Array.from({ length: rows }, (): number[] => []);
      return {
        async run(given, predictors = 1) {
          if (predictors !== 1) throw new Error('a server predicts the next token of a text only');
          texts.forEach((text, row) => text.push(...rowIds(given, row)));
          const answers = await Promise.all(texts.map(next));
          const logits = new Float32Array(texts.length * remote.vocabSize);
          answers.forEach((answer, row) => logits.set(answer, row * remote.vocabSize));
          return logits;
        },
        keepRows(kept) {
          texts = kept.map((row) => texts[row]!);
        },
      };
    },
    use() {
      throw new Error('a model behind a server has no trainables');
    },
    dispose: () => Promise.resolve(),
    truncation: () => ({ tokens, mean: tokens === 0 ? 0 : left / tokens, largest }),
  };
}

/** The ids of a row's new tokens, without padding. */
function rowIds({ sequence, ids, segments }: Tokens, row: number): number[] {
  const from = row * sequence;
  return [...ids.subarray(from, from + sequence)].filter((_, at) => segments[from + at] !== 0);
}

/**
 * Finds the id of a token as servers write it: its text, or `token_id:7` (vLLM's `return_tokens_as_token_ids`). Texts
 * of several tokens (bytes that are no character alone) stand for none of them.
 */
function tokenIds(tokenizer: Tokenizer, vocabSize: number): (text: string) => number | undefined {
  const byText = new Map<string, number | undefined>();
  for (let id = 0; id < Math.min(vocabSize, tokenizer.vocabSize); id++) {
    const text = tokenizer.decode([id], { skipSpecialTokens: false });
    byText.set(text, byText.has(text) ? undefined : id);
  }
  return (text) => {
    const given = /^token_id:(\d+)$/.exec(text);
    if (given === null) return byText.get(text);
    const id = Number(given[1]);
    return id < vocabSize ? id : undefined;
  };
}

/** The most likely next tokens and their log-probabilities, in nats. */
async function ask(remote: RemoteBase, prompt: readonly number[]): Promise<[string, number][]> {
  const { url, model, topLogprobs, apiKey } = remote;
  const place = `${url.replace(/\/+$/, '')}/completions`;
  let text: string;
  let response: Response;
  try {
    response = await fetch(place, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify({ model, prompt, max_tokens: 1, temperature: 0, logprobs: topLogprobs }),
      // A key is for one host alone.
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = await boundedText(response, place);
  } catch (error) {
    return fail(
      {
        code: 'proxy.server',
        message: l10n.t`the server at ${place} does not answer: ${causeOf(error)}`,
        expected: l10n.t`a running server with OpenAI's completions interface, such as vLLM or llama.cpp's`,
        mend: l10n.t`Start it, or mend the address: it ends in /v1 as a rule.`,
      },
      error,
    );
  }
  if (!response.ok) refused(place, response.status, text);
  return topOf(text) ?? noLogprobs(place, text);
}

async function boundedText(response: Response, place: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) {
      throw new Error(l10n.t`${place} answers with more than ${MAX_ANSWER_BYTES} bytes for one token`);
    }
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** `choices[0].logprobs.top_logprobs[0]`: { token: log-probability } */
function topOf(text: string): [string, number][] | undefined {
  const top = field(field(field(field(field(parsed(text), 'choices'), 0), 'logprobs'), 'top_logprobs'), 0);
  if (typeof top !== 'object' || top === null) return undefined;
  const pairs = Object.entries(top).filter(
    (pair): pair is [string, number] => typeof pair[1] === 'number' && !Number.isNaN(pair[1]) && pair[1] <= 1e-3,
  );
  return pairs.length === 0 ? undefined : pairs;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function field(value: unknown, key: string | number): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.getOwnPropertyDescriptor(value, key)?.value;
}

/** `fetch failed` says nothing: what stopped it is its cause. */
function causeOf(error: unknown): string {
  return messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
}

function refused(place: string, status: number, text: string): never {
  return fail({
    code: 'proxy.server',
    message: l10n.t`the server at ${place} refuses with status ${status}: ${text.slice(0, 300)}`,
    mend:
      status === 401 || status === 403
        ? l10n.t`Set the environment variable ${API_KEY_VARIABLE} to a key of that server.`
        : l10n.t`Check the model's name, and how many log-probabilities the server gives.`,
  });
}

function noLogprobs(place: string, text: string): never {
  return fail({
    code: 'proxy.no-logprobs',
    message: l10n.t`the server at ${place} gives no log-probabilities: ${text.slice(0, 300)}`,
    expected: l10n.t`choices[0].logprobs.top_logprobs, as OpenAI's completions interface has it`,
    mend: l10n.t`Start the server so that it gives log-probabilities; chat interfaces alone do not do.`,
  });
}

function unknownTokens({ url, model }: RemoteBase): never {
  return fail({
    code: 'proxy.vocabulary',
    message: l10n.t`none of the tokens that ${model} at ${url} names is in the small model's vocabulary`,
    expected: l10n.t`two models of one tokenizer: proxy-tuning adds their logits token by token`,
    mend: l10n.t`Tune a small model of the base model's family.`,
  });
}

/** Where the key of a server is read from: it stands in no file of a workspace. */
export const API_KEY_VARIABLE = 'PEFT_STUDIO_API_KEY';
