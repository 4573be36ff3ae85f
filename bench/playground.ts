// The playground's decoder against Transformers' `generate`: node --import tsx bench/playground.ts MODEL PYTHON
// [OUT.md] [--rounds N] [--threads N] [--prompt N] [--tokens N]
// MODEL is a model folder of Llama's family in float32; a LoRA adapter of random numbers is made for it. Both sides decode
// greedily, the same number of tokens behind the same prompt, and take turns; medians are told. The adapter's column has
// the base model read along, as in the editor: its own time, and the time on the wall with the colours.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { encodeStart } from '../src/data/endOfText.js';
import { BASE_COLUMN } from '../src/engines/playground/protocol.js';
import type { Answer } from '../src/engines/playground/protocol.js';
import { openPlayground } from '../src/engines/playground/session.js';
import { loadTokenizer } from '../src/models/loadTokenizer.js';
import type { Tokenizer } from '../src/models/tokenizer.js';
import { writeLora } from '../test/support/playground.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
    prompt: { type: 'string', default: '64' },
    tokens: { type: 'string', default: '64' },
  },
});
const [model, python, out] = positionals;
if (model === undefined || python === undefined)
  throw new Error('usage: bench/playground.ts MODEL PYTHON [OUT.md]');
const [rounds, threads, length, tokens] = [flags.rounds, flags.threads, flags.prompt, flags.tokens].map(
  Number,
) as [number, number, number, number];
const WORDS = 'The river ran past the old mill and the children counted boats until the evening came .'.split(' ');

/** What one answer took. */
interface Timing {
  /** Seconds to the first token. */
  readonly first: number;
  /** Tokens per second after it. */
  readonly speed: number;
}

const folder = mkdtempSync(path.join(tmpdir(), 'peft-playground-'));
try {
  const adapter = await writeLora(path.join(folder, 'adapter'), model, 1);
  let answer: Answer | undefined;
  const session = await openPlayground(
    model,
    (event) => {
      if (event.type === 'answered') answer = event.answer;
      if (event.type === 'refused') throw new Error(event.problem.message);
    },
    { runtime: { threads } },
  );
  await session.attach('A', adapter);
  const ask = async (column: string, prompt: string, max: number): Promise<Answer & { wall: number }> => {
    const since = performance.now();
    const columns = [{ column, prompt }];
    await session.generate(
      { type: 'generate', request: 1, columns, options: { max_new_tokens: max } },
      () => false,
    );
    return { ...answer!, wall: (performance.now() - since) / 1000 };
  };
  const prompt = promptOf(length, await loadTokenizer(model));

  const ours: Timing[] = [];
  const adapted: Timing[] = [];
  const walls: number[] = [];
  const theirs: Timing[] = [];
  for (let round = 0; round < rounds; round++) {
    const base = await ask(BASE_COLUMN, prompt, tokens);
    if (base.tokens !== tokens)
      throw new Error(`the answer ended after ${base.tokens} tokens: take another prompt`);
    ours.push({ first: base.firstToken, speed: (tokens - 1) / base.afterFirst });
    const own = await ask('A', prompt, tokens);
    adapted.push({ first: own.firstToken, speed: (own.tokens - 1) / own.afterFirst });
    walls.push(own.tokens / own.wall);
    theirs.push(transformers(python, model, prompt));
  }
  await session.close();
  const row = (name: string, timings: readonly Timing[]): string =>
    `| ${name} | ${median(timings.map(({ first }) => first * 1000)).toFixed(0)} | ${median(timings.map(({ speed }) => speed)).toFixed(1)} |`;
  const text = [
    `# Playground against Transformers' generate`,
    '',
    `${path.basename(model)}, float32, greedy, ${length} tokens of prompt, ${tokens} new, ${threads} threads, ${cpus().length} cores (${cpus()[0]?.model}); medians of ${rounds} rounds in turns; load ${loadavg()[0]!.toFixed(1)} at the end.`,
    '',
    '| side | first token (ms) | tokens/s after it |',
    '| --- | --- | --- |',
    row('ours, base model', ours),
    row('ours, adapter (own time)', adapted),
    row('Transformers, base model', theirs),
    '',
    `The adapter's column on the wall, its colours by the base model included: ${median(walls).toFixed(1)} tokens/s from start to end.`,
    '',
  ].join('\n');
  console.log(text);
  if (out !== undefined) writeFileSync(out, text);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Words until the tokenizer makes so many tokens of them. */
function promptOf(wanted: number, tokenizer: Tokenizer): string {
  let text = WORDS[0]!;
  for (let at = 1; at < 4 * wanted; at++) {
    if (encodeStart(text, tokenizer).length >= wanted) return text;
    text += ` ${WORDS[at % WORDS.length]}`;
  }
  throw new Error('the prompt does not grow');
}

/** One process of its own per round; a first generation warms it up. */
function transformers(program: string, folderOfModel: string, text: string): Timing {
  const script = `
import json, sys, time, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, text, tokens, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors='pt')
class Times:
    def __init__(self): self.times = []
    def put(self, value): self.times.append(time.perf_counter())
    def end(self): pass
for n in (4, tokens):
    times, began = Times(), time.perf_counter()
    with torch.no_grad():
        model.generate(**inputs, max_new_tokens=n, min_new_tokens=n, do_sample=False, streamer=times)
answer = times.times[1:]
print(json.dumps({'first': answer[0] - began, 'speed': (len(answer) - 1) / (answer[-1] - answer[0])}))
`;
  const printed = execFileSync(program, ['-c', script, folderOfModel, text, String(tokens), String(threads)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return JSON.parse(printed.trim().split('\n').at(-1)!) as Timing;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
