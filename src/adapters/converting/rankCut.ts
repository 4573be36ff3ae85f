import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../../common/json.js';
import { fail } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import type { LoraOptions } from '../../methods/lora.js';
import { PEFT_PREFIX } from '../../methods/loraParameters.js';
import { firstComponents } from '../../methods/pairComponents.js';
import type { NamedTensor } from '../../methods/method.js';
import { patternValue } from '../../methods/targets.js';
import type { AdapterOnDisk } from '../readAdapter.js';

/** An adapter as it is at a lower rank; nothing is written. */
export interface CutAdapter {
  readonly adapter: AdapterOnDisk;
  /** The largest rank of its modules before. */
  readonly from: number;
  readonly warnings: readonly Problem[];
}

/**
 * A LoRA of its first components only: A[:b] and B[:, :b] of each module that has more than b. One that was trained at all
 * ranks (DyLoRA, Valipour et al. 2023) keeps lora_alpha, so that its scale is lora_alpha / b, as in training. In any other
 * the components that stay count as much as before, and what was cut off is missing: that is said.
 *
 * @param rank b
 * @throws ProblemError `convert.method` for what is no LoRA, `convert.rank`, `adapter.config`, `adapter.shape`
 */
export function atRank(adapter: AdapterOnDisk, rank: number): CutAdapter {
  const { options } = adapter.format.options(adapter.config, adapter.configFile);
  if (options.type !== 'lora') {
    return fail({
      code: 'convert.method',
      message: l10n.t`${adapter.peftType} has no components that could be left out one by one`,
      where: { file: adapter.configFile },
      expected: l10n.t`an adapter of type LORA`,
    });
  }
  const pairs = pairsOf(adapter);
  const from = Math.max(...pairs.map(({ r }) => r));
  if (!Number.isInteger(rank) || rank < 1 || rank > from) {
    fail({
      code: 'convert.rank',
      message: l10n.t`the adapter cannot have rank ${rank}: it has rank ${from}`,
      where: { file: adapter.configFile },
      expected: l10n.t`a whole number from 1 to ${from}`,
    });
  }
  const cuts = new Map(
    pairs.filter(({ r }) => r > rank).flatMap((pair) => [[pair.a, pair] as const, [pair.b, pair] as const]),
  );
  const read = async (name: string): Promise<Float32Array> => {
    const pair = cuts.get(name);
    if (pair === undefined) return adapter.read(name);
    const whole = { r: pair.r, a: await adapter.read(pair.a), b: await adapter.read(pair.b) };
    const cut = firstComponents(whole, rank);
    return name === pair.a ? cut.a : cut.b;
  };
  const tensors = new Map(
    [...adapter.tensors].map(([name, tensor]) => {
      const { shape } = tensor;
      const pair = cuts.get(name);
      if (pair === undefined) return [name, tensor];
      return [name, { ...tensor, shape: name === pair.a ? [rank, shape[1]!] : [shape[0]!, rank] }];
    }),
  );
  return {
    adapter: {
      ...adapter,
      config: { ...adapter.config, ...cutConfig(options, pairs, rank, adapter.nested) },
      tensors,
      read,
      async loadTensors() {
        const loaded = new Map<string, NamedTensor>();
        for (const [name, tensor] of await adapter.loadTensors()) {
          loaded.set(name, {
            name,
            shape: tensors.get(name)!.shape,
            data: cuts.has(name) ? await read(name) : tensor.data,
          });
        }
        return loaded;
      },
    },
    from,
    warnings: adapter.nested || rank === from ? [] : [notNested(adapter, rank)],
  };
}

interface NamedPair {
  readonly path: string;
  readonly r: number;
  /** Names of the tensors. */
  readonly a: string;
  readonly b: string;
}

const HALF = /^(.+)\.lora_(embedding_)?A(\.weight)?$/;

/** @throws ProblemError `adapter.shape` */
function pairsOf({ tensors, weightsFile }: AdapterOnDisk): NamedPair[] {
  const pairs = [...tensors].flatMap(([a, { shape }]): NamedPair[] => {
    const [, module, embedding = '', weight = ''] = HALF.exec(a) ?? [];
    if (module === undefined) return [];
    const path = module.replace(PEFT_PREFIX, '');
    const b = `${module}.lora_${embedding}B${weight}`;
    const ofB = tensors.get(b)?.shape ?? [];
    const [r = 0] = shape;
    if (shape.length === 2 && ofB.length === 2 && r === ofB[1] && r > 0) return [{ path, r, a, b }];
    return fail({
      code: 'adapter.shape',
      message: l10n.t`${path}: A is [${shape.join(', ')}] and B is [${ofB.join(', ')}]`,
      where: { file: weightsFile },
      expected: l10n.t`A [r, in] and B [out, r]`,
    });
  });
  if (pairs.length > 0) return pairs;
  return fail({
    code: 'convert.rank',
    message: l10n.t`the adapter has no pair of A and B to cut`,
    where: { file: weightsFile },
  });
}

/** The keys of PEFT's config that change. */
function cutConfig(options: LoraOptions, pairs: readonly NamedPair[], rank: number, nested: boolean): JsonObject {
  const cut = pairs.map(({ path, r }) => {
    const own = Math.min(r, rank);
    const alpha = patternValue(options.alpha_pattern, path) ?? options.lora_alpha;
    const factor = nested ? 1 : options.use_rslora ? Math.sqrt(own / r) : own / r;
    return { path, r: own, alpha: alpha * factor };
  });
  const usual = cut.find(({ r }) => r === rank)!.alpha;
  return {
    r: rank,
    lora_alpha: usual,
    rank_pattern: Object.fromEntries(cut.filter(({ r }) => r !== rank).map(({ path, r }) => [path, r])),
    alpha_pattern: Object.fromEntries(
      cut.filter(({ alpha }) => alpha !== usual).map(({ path, alpha }) => [path, alpha]),
    ),
  };
}

function notNested({ weightsFile }: AdapterOnDisk, rank: number): Problem {
  return {
    code: 'convert.not-nested',
    severity: 'warning',
    message: l10n.t`the adapter was not trained to be cut: its first ${rank} components are no better than the others, and what those have learned is lost`,
    where: { file: weightsFile },
    mend: l10n.t`Measure it before you use it; an adapter that was trained with dylora can be cut to any rank.`,
  };
}
