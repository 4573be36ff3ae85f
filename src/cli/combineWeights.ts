import type { Part } from '../adapters/combining/combinedPart.js';
import { fail } from '../common/problem.js';
import type { Arguments } from './arguments.js';

/**
 * What each adapter counts, in all modules and in some, out of `--weights` and `--layer-weights`.
 * @param count of adapters
 * @throws ProblemError `cli.option-value`, `cli.option-twice`
 */
export function partWeightsOf(args: Arguments, count: number): readonly Pick<Part, 'weight' | 'layerWeights'>[] {
  const text = args.text('weights');
  const weights = text === undefined ? Array.from({ length: count }, () => 1) : numbersOf(text, count);
  const own = new Map<string, readonly number[]>();
  for (const entry of args.all('layer-weights')) {
    const [, places = '', list = ''] = /^(.+)=([^=]*)$/.exec(entry) ?? [];
    const key = places.trim();
    const each = numbersOf(list, count);
    if (key === '' || each === undefined) {
      return fail({
        code: 'cli.option-value',
        message: `--layer-weights is "${entry}"`,
        expected: `layers or modules, = and ${numbersText(count)}, such as 0-11=${exampleOf(count)}`,
      });
    }
    if (own.has(key)) {
      return fail({
        code: 'cli.option-twice',
        message: `--layer-weights names ${key} twice`,
        mend: 'Name it once.',
      });
    }
    own.set(key, each);
  }
  const counts = (at: number): boolean => weights?.[at] !== 0 || [...own.values()].some((each) => each[at] !== 0);
  if (weights === undefined || !weights.every((_, at) => counts(at))) {
    return fail({
      code: 'cli.option-value',
      message: `--weights is "${text}"`,
      expected: `${numbersText(count, ' other than 0')} (0 for one that counts by --layer-weights alone)`,
    });
  }
  return weights.map((weight, at) => ({
    weight,
    ...(own.size === 0
      ? {}
      : { layerWeights: Object.fromEntries([...own].map(([key, each]) => [key, each[at]!])) }),
  }));
}

function numbersText(count: number, which = ''): string {
  return count === 1
    ? `a number${which}`
    : `${count} numbers${which} with commas between them, one for each adapter`;
}

/** `1,0` */
function exampleOf(count: number): string {
  return Array.from({ length: count }, (_, at) => (at === 0 ? 1 : 0)).join();
}

/** Undefined where they are not as many as the adapters. */
function numbersOf(text: string, count: number): readonly number[] | undefined {
  const numbers = text.split(',').map((each) => (each.trim() === '' ? NaN : Number(each)));
  return numbers.length === count && numbers.every(Number.isFinite) ? numbers : undefined;
}
