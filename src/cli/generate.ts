import { promptIds } from '../data/endOfText.js';
import { generatorOf } from '../generation/generate.js';
import { generateText } from '../generation/generateText.js';
import { generateSettings } from '../generation/options.js';
import type { Tokenizer } from '../models/tokenizer.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import type { Runtime } from '../runtime/runtime.js';
import type { Arguments } from './arguments.js';
import type { Command } from './command.js';
import { adaptedSource } from './decoderSource.js';
import type { DecoderSource } from './decoderSource.js';
import { DONE } from './exitCode.js';
import { INTERRUPTED } from './interrupt.js';
import type { Io } from './io.js';
import { RANK_OPTION, openAdapted } from './openAdapted.js';
import { PROXY_OPTIONS, REMOTE_OPTIONS, proxySource, refuseRemote } from './proxySource.js';
import { isRunFile, openRunFile } from './runFile.js';
import { printable } from './styles.js';

export const generate: Command = {
  name: 'generate',
  summary: 'Continue a prompt with a model, with or without an adapter.',
  positionals: [{ name: 'MODEL|FILE', help: 'a model, or a run file (its model is used)' }],
  options: {
    prompt: { value: 'TEXT', required: true, help: 'The text to continue; - reads standard input.' },
    adapter: {
      value: 'DIR',
      help: "An adapter folder to apply to the model, or a run's: all that its methods wrote.",
    },
    task: {
      value: 'NAME',
      help: 'The task of the prompt, for an adapter that was trained with data.task_column.',
    },
    rank: RANK_OPTION,
    ...PROXY_OPTIONS,
    ...REMOTE_OPTIONS,
    chat: { help: "Give the prompt as a user's message, through the model's chat template." },
    'max-new-tokens': { value: 'N', help: 'Tokens to generate at most. Default: 128.' },
    temperature: {
      value: 'T',
      help: '0 (the default) takes the most likely token always; 1 draws as the model has it.',
    },
    'top-p': {
      value: 'P',
      help: 'Draw from the fewest most likely tokens that reach this probability. Default: 1, all.',
    },
    'top-k': { value: 'K', help: 'Draw from the K most likely tokens only. Default: 0, all.' },
    seed: { value: 'N', help: 'Seed of the draws. Default: 0.' },
  },
  json: '{ "prompt", "text", "tokens", "reason", "seconds" }; reason: "eos", "length" or "stopped"',
  jsonForm: 'document',
  examples: [
    'models/SmolLM2-135M-Instruct --chat --prompt "What is a tensor?"',
    'sql.peft.yaml --adapter runs/sql/2025-01-31T12-00-00/adapter --prompt "question: …" --temperature 0.7',
  ],
  async run(args, io) {
    const options = {
      max_new_tokens: args.number('max-new-tokens'),
      temperature: args.number('temperature'),
      top_p: args.number('top-p'),
      top_k: args.number('top-k'),
      seed: args.number('seed'),
    };
    const settings = generateSettings(options);
    const name = args.positional(0);
    const run = isRunFile(name) ? await openRunFile(name, io) : undefined;
    const config = run?.config;
    const given = args.required('prompt');
    const prompt = given === '-' ? await io.readInput() : given;
    const base = config?.model ?? name;
    refuseRemote(base, args);
    const runtime = await onnxRuntime(config?.runtime);
    const source =
      (await proxySource(base, run?.folder, args, runtime, io, ['adapter', 'task', 'rank'])) ??
      (await taskSource(base, args, run?.folder, runtime, io));
    const { tokenizer } = source;
    const ids = encodePrompt(prompt, args.flag('chat'), tokenizer);
    // No more positions than are needed: the rotary tables have a row for each.
    const positionLimit = Math.min(
      source.maxPositions,
      source.inFront + Math.max(2, ids.length + settings.max_new_tokens),
    );
    const generator = generatorOf(await source.compile(positionLimit));
    const json = args.flag('json');
    const show = (piece: string): void => {
      if (!json && piece !== '') io.piece(io.terminal ? printable(piece) : piece);
    };
    const since = performance.now();
    const [row] = await generateText(generator, tokenizer, [ids], options, (_, piece) => {
      show(piece);
      return !io.interrupt.requested();
    });
    await generator.dispose();
    const said = source.afterwards?.();
    if (said !== undefined) io.note(said);
    if (json) {
      const seconds = (performance.now() - since) / 1000;
      io.json({ prompt, text: row!.text, tokens: row!.ids.length, reason: row!.reason, seconds });
    } else io.piece('\n');
    return row!.reason === 'stopped' ? INTERRUPTED : DONE;
  },
};

/** A model with the adapter that is named, and of it the task that is. */
async function taskSource(
  base: string,
  args: Arguments,
  folder: string | undefined,
  runtime: Runtime,
  io: Io,
): Promise<DecoderSource> {
  const adapted = await openAdapted(
    base,
    args.text('adapter'),
    io,
    folder,
    {},
    args.text('task'),
    args.number('rank'),
  );
  return adaptedSource(adapted, runtime, io);
}

/** The prompt as training would encode it: the chat template writes its special tokens itself. */
function encodePrompt(prompt: string, chat: boolean, tokenizer: Tokenizer): number[] {
  if (!chat) return promptIds(prompt, tokenizer);
  const text = tokenizer.applyChatTemplate([{ role: 'user', content: prompt }], { addGenerationPrompt: true });
  return tokenizer.encode(text, { addSpecialTokens: false });
}
