// How long the playground's first token takes, turn by turn of a conversation, when what was read is remembered and when
// each turn is asked of a session that knows nothing of the turns before:
// node --import tsx bench/conversation.ts [MODEL] [--rounds N] [--threads N] [--turns N] [--words N]
// The default model is the bundled one. Both sides take turns; medians of a round's milliseconds are told.
import { cpus, loadavg } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BASE_COLUMN } from '../src/engines/playground/protocol.js';
import type { Answer } from '../src/engines/playground/protocol.js';
import { openPlayground } from '../src/engines/playground/session.js';
import type { ChatMessage } from '../src/models/tokenizer.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '9' },
    threads: { type: 'string', default: '2' },
    turns: { type: 'string', default: '5' },
    words: { type: 'string', default: '30' },
  },
});
const model = positionals[0] ?? fileURLToPath(new URL('../examples/base-model/peft-studio-tiny', import.meta.url));
const [rounds, threads, turns, words] = [flags.rounds, flags.threads, flags.turns, flags.words].map(Number) as [
  number,
  number,
  number,
  number,
];
const WORDS = 'the river ran past the old mill and the children counted boats until the evening came'.split(' ');

async function opened(): Promise<{
  ask(messages: readonly ChatMessage[]): Promise<Answer>;
  close(): Promise<void>;
}> {
  let answer: Answer | undefined;
  const session = await openPlayground(
    model,
    (event) => {
      if (event.type === 'answered') answer = event.answer;
      if (event.type === 'refused') throw new Error(event.problem.message);
    },
    { runtime: { threads } },
  );
  return {
    async ask(prompt) {
      const columns = [{ column: BASE_COLUMN, prompt }];
      await session.generate(
        { type: 'generate', request: 1, columns, options: { max_new_tokens: 16 } },
        () => false,
      );
      return answer!;
    },
    close: () => session.close(),
  };
}

const said = (turn: number): string =>
  Array.from({ length: words }, (_, at) => WORDS[(at + turn) % WORDS.length]).join(' ');
/** For each turn: tokens of the prompt, and the milliseconds of both sides. */
const rows = Array.from({ length: turns }, () => ({
  tokens: 0,
  remembered: [] as number[],
  anew: [] as number[],
}));
for (let round = 0; round <= rounds; round++) {
  const [one, other] = [await opened(), await opened()];
  const history: ChatMessage[] = [];
  for (const [turn, row] of rows.entries()) {
    history.push({ role: 'user', content: said(turn) });
    const answer = await one.ask(history);
    // Nothing of this text is like the start of the next one.
    await other.ask([{ role: 'system', content: String(turn) }]);
    const fresh = await other.ask(history);
    if (fresh.text !== answer.text) throw new Error(`turn ${turn + 1}: ${fresh.text}, remembered: ${answer.text}`);
    history.push({ role: 'assistant', content: answer.text });
    // The first round warms up.
    if (round === 0) continue;
    row.tokens = answer.promptTokens;
    row.remembered.push(answer.firstToken * 1000);
    row.anew.push(fresh.firstToken * 1000);
  }
  await Promise.all([one.close(), other.close()]);
}
console.log(
  [
    `${path.basename(model)}, ${threads} threads, ${cpus().length} cores (${cpus()[0]?.model}), medians of ${rounds} rounds, load ${loadavg()[0]!.toFixed(1)}`,
    '',
    '| turn | tokens of the prompt | first token, remembered (ms) | read anew (ms) |',
    '| --- | --- | --- | --- |',
    ...rows.map(
      ({ tokens, remembered, anew }, turn) =>
        `| ${turn + 1} | ${tokens} | ${median(remembered).toFixed(1)} | ${median(anew).toFixed(1)} |`,
    ),
  ].join('\n'),
);

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
