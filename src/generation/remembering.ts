import type { Decoder, Reading } from './decoder.js';
import { rowTokens } from './tokens.js';

/** A text as far as it was read. */
interface Read {
  readonly reading: Reading;
  readonly task: number;
  readonly ids: number[];
}

/**
 * A decoder that remembers the text it read last: of the next one it reads what comes after the tokens that both begin
 * with, as in a conversation that goes on. The keys and values of a token depend on no later one, so the logits are
 * those of a decoder that reads everything. Several rows at once, and readings that cannot be taken back, are read whole.
 *
 * One text is read at a time.
 */
export function remembering(decoder: Decoder): Decoder {
  let last: Read | undefined;

  /** The last text, shortened to what it has in common with this one, or a new one. */
  function begin(ids: readonly number[], task: number, predictors: number): Read {
    const known = last?.task === task && last.reading.keepFirst !== undefined ? last : undefined;
    const same = known === undefined ? 0 : commonLength(known.ids, ids, ids.length - predictors);
    if (last === undefined || same === 0) return { reading: decoder.read(1, [task]), task, ids: [] };
    last.reading.keepFirst?.(same);
    return { reading: last.reading, task, ids: last.ids.slice(0, same) };
  }

  function readOne(task: number): Reading {
    let own: Read | undefined;
    return {
      async run(tokens, predictors = 1) {
        if (own !== undefined && own !== last) throw new Error('another text was begun before this one was read');
        const ids = [...tokens.ids];
        const here = own ?? begin(ids, task, predictors);
        const rest = own === undefined ? rowTokens(ids.slice(here.ids.length), here.ids.length) : tokens;
        // Of a run that fails nothing is known.
        last = undefined;
        const logits = await here.reading.run(rest, predictors);
        here.ids.push(...rest.ids);
        own = last = here;
        return logits;
      },
      // The only row: when it ends it is kept for the next text.
      keepRows: () => undefined,
    };
  }

  return {
    ...decoder,
    read: (rows, tasks) => (rows === 1 ? readOne(tasks?.[0] ?? 0) : decoder.read(rows, tasks)),
    use(values) {
      last = undefined;
      decoder.use(values);
    },
  };
}

/** How many tokens two texts begin with alike, at most so many. */
function commonLength(a: readonly number[], b: readonly number[], most: number): number {
  const length = Math.min(a.length, b.length, most);
  for (let at = 0; at < length; at++) if (a[at] !== b[at]) return at;
  return Math.max(0, length);
}
