import path from 'node:path';
import { ADAPTER_CONFIG } from '../adapters/adapterFiles.js';
import { readAdapter } from '../adapters/readAdapter.js';
import { pathKind } from '../common/files.js';
import { formatPercent } from '../common/format.js';
import { fail } from '../common/problem.js';
import { createTogether } from '../generation/decoder.js';
import { checkSameVocabulary, proxyDecoder } from '../generation/proxyTuning.js';
import { API_KEY_VARIABLE, remoteDecoder } from '../generation/remoteBase.js';
import type { RemoteDecoder } from '../generation/remoteBase.js';
import type { Runtime } from '../runtime/runtime.js';
import { baseOf } from './adapterBase.js';
import type { Arguments } from './arguments.js';
import type { Option } from './command.js';
import { adaptedSource } from './decoderSource.js';
import type { DecoderSource } from './decoderSource.js';
import type { Io } from './io.js';
import { openAdapted } from './openAdapted.js';
import type { Adapted } from './openAdapted.js';

/** Options of the commands that can steer a base model by a small tuned one. */
export const PROXY_OPTIONS: Readonly<Record<string, Option>> = {
  proxy: {
    value: 'DIR',
    help: 'Steer the model by a small tuned one (proxy-tuning): an adapter folder, or a tuned model.',
  },
  'anti-expert': {
    value: 'MODEL',
    help: "The small model before it was tuned. Default: the base that --proxy's adapter names.",
  },
  alpha: { value: 'A', help: 'Factor on what tuning changed in the small model. Default: 1.' },
};

/** Options for a base model behind a server. */
export const REMOTE_OPTIONS: Readonly<Record<string, Option>> = {
  'remote-model': {
    value: 'NAME',
    help: 'The name of the model at the server, where MODEL is an http(s) address.',
  },
  'top-logprobs': {
    value: 'K',
    help: 'How many of its most likely tokens a server is asked for. Default: 5, the most that OpenAI gives.',
  },
};

/** The small models, and what of them acts how much. */
interface Proxy {
  readonly expert: Adapted;
  readonly antiExpert: Adapted;
  readonly alpha: number;
}

/**
 * A base model steered by --proxy; undefined where the option is not given.
 *
 * @param base a model, or the address of a server's completions interface
 * @param idle options of the command that do nothing then
 * @throws ProblemError `cli.option-missing`, `cli.option-value`, `proxy.vocabulary`, and those of the models
 */
export async function proxySource(
  base: string,
  folder: string | undefined,
  args: Arguments,
  runtime: Runtime,
  io: Io,
  idle: readonly string[],
): Promise<DecoderSource | undefined> {
  if (args.text('proxy') === undefined) return withoutProxy(base, args);
  refuseIdle(idle, args);
  const proxy = await openProxy(args, io);
  const small = [proxy.expert, proxy.antiExpert].map((adapted) => adaptedSource(adapted, runtime, io));
  const large = isAddress(base)
    ? remoteSource(base, proxy.expert, args)
    : await localSource(base, folder, proxy.expert, runtime, io);
  const parts = [large, ...small];
  return {
    tokenizer: large.tokenizer,
    maxPositions: Math.min(...parts.map(({ maxPositions }) => maxPositions)),
    inFront: Math.max(...parts.map(({ inFront }) => inFront)),
    async compile(positionLimit) {
      const [main, expert, antiExpert] = await createTogether(
        parts.map((part) => () => part.compile(positionLimit)),
      );
      return proxyDecoder({ base: main!, expert: expert!, antiExpert: antiExpert!, alpha: proxy.alpha });
    },
    afterwards: () => large.afterwards?.(),
  };
}

/** True for the address of a server instead of a model. */
export function isAddress(base: string): boolean {
  return /^https?:\/\//i.test(base);
}

function withoutProxy(base: string, args: Arguments): undefined {
  const idle = ['anti-expert', 'alpha'].find((name) => args.text(name) !== undefined);
  if (idle !== undefined || isAddress(base)) {
    fail({
      code: 'cli.option-missing',
      message: idle === undefined ? `${base} is a server's address` : `--${idle} is given without --proxy`,
      expected: '--proxy DIR: the small tuned model that steers the base',
      mend: idle === undefined ? 'Add --proxy, or name a model.' : `Add --proxy, or leave --${idle} out.`,
    });
  }
  return undefined;
}

/** Options that would do nothing beside --proxy, and nobody would be told. */
function refuseIdle(names: readonly string[], args: Arguments): void {
  const given = names.find((name) => args.text(name) !== undefined);
  if (given === undefined) return;
  fail({
    code: 'cli.option-conflict',
    message: `--${given} is given, and does nothing beside --proxy`,
    expected: 'a base model as it is: proxy-tuning touches no weight of it',
    mend: `Leave --${given} out.`,
  });
}

/**
 * Options for a server that would do nothing where the base model is on this machine.
 * @throws ProblemError `cli.option-conflict`
 */
export function refuseRemote(base: string, args: Arguments): void {
  const given = isAddress(base)
    ? undefined
    : Object.keys(REMOTE_OPTIONS).find((name) => args.text(name) !== undefined);
  if (given === undefined) return;
  fail({
    code: 'cli.option-conflict',
    message: `--${given} is given, and the model is on this machine`,
    expected: "a server's address as model",
    mend: `Leave --${given} out.`,
  });
}

/** The small model as it was tuned, and as it was before. */
async function openProxy(args: Arguments, io: Io): Promise<Proxy> {
  const folder = args.required('proxy');
  const alpha = args.number('alpha') ?? 1;
  if (!Number.isFinite(alpha)) {
    fail({ code: 'cli.option-value', message: `--alpha is ${alpha}`, expected: 'a number' });
  }
  const antiExpert = args.text('anti-expert');
  if ((await pathKind(path.join(folder, ADAPTER_CONFIG))) !== 'nothing') {
    const before = antiExpert ?? (await baseOf(await readAdapter(folder), 'anti-expert'));
    const expert = await openAdapted(before, folder, io);
    return { expert, antiExpert: { ...expert, methods: [], values: new Map() }, alpha };
  }
  if (antiExpert === undefined) {
    return fail({
      code: 'cli.option-missing',
      message: `${folder} is no adapter folder, so what it was tuned from is not known`,
      expected: '--anti-expert MODEL: the small model before it was tuned',
      mend: 'Add --anti-expert, or name an adapter folder.',
    });
  }
  const [expert, before] = [
    await openAdapted(folder, undefined, io),
    await openAdapted(antiExpert, undefined, io),
  ];
  checkSameVocabulary(before.tokenizer, expert.tokenizer);
  return { expert, antiExpert: before, alpha };
}

async function localSource(
  base: string,
  folder: string | undefined,
  expert: Adapted,
  runtime: Runtime,
  io: Io,
): Promise<DecoderSource> {
  const opened = await openAdapted(base, undefined, io, folder);
  checkSameVocabulary(opened.tokenizer, expert.tokenizer);
  return adaptedSource(opened, runtime, io);
}

/** The expert's tokenizer is the server's, or its tokens are not found: so there is no other to ask. */
function remoteSource(url: string, expert: Adapted, args: Arguments): DecoderSource {
  const model = args.text('remote-model');
  if (model === undefined) {
    return fail({
      code: 'cli.option-missing',
      message: `a server is asked for a model by its name, and none is given`,
      mend: 'Add --remote-model NAME: the server lists its models at /v1/models.',
    });
  }
  const topLogprobs = args.number('top-logprobs') ?? 5;
  if (!Number.isSafeInteger(topLogprobs) || topLogprobs < 1) {
    fail({
      code: 'cli.option-value',
      message: `--top-logprobs is ${topLogprobs}`,
      expected: 'a whole number from 1',
    });
  }
  const apiKey = process.env[API_KEY_VARIABLE];
  const { maxPositions, vocabSize } = expert.model;
  let decoder: RemoteDecoder | undefined;
  return {
    tokenizer: expert.tokenizer,
    maxPositions,
    inFront: 0,
    compile(positionLimit) {
      const common = { url, model, topLogprobs, vocabSize, positionLimit, tokenizer: expert.tokenizer };
      decoder = remoteDecoder(apiKey === undefined ? common : { ...common, apiKey });
      return Promise.resolve(decoder);
    },
    afterwards() {
      const left = decoder?.truncation();
      if (left === undefined || left.tokens === 0) return undefined;
      return `The server named ${topLogprobs} tokens a step at most: ${formatPercent(left.mean)} of the probability was left out on average, ${formatPercent(left.largest)} at most.`;
    },
  };
}
