import { transposed } from '../../linalg/products.js';
import { PEFT_PREFIX } from '../../methods/loraParameters.js';
import type { ParameterChoice } from '../../methods/loraParameters.js';
import { lowRankPair, mergePair, takesPair } from '../../methods/lowRankPair.js';
import type { AttachContext, Attached, Values } from '../../methods/method.js';
import { optionsWithoutHead } from '../../methods/taskHead.js';
import { liesTransposed, parameterShape } from '../../models/site.js';
import type { ParameterKind, Site } from '../../models/site.js';
import type { AttachedAdapter } from '../attachAdapter.js';
import type { WeighedPart } from './combinedPart.js';
import { exactFactors } from '../converting/exactFactors.js';
import { loraOptionsOf, loraTerm } from '../loraTerms.js';
import type { LoraTerm } from '../loraTerms.js';

/** What an adapter adds to a module: s·B·A, or a matrix ΔW [out, in] that is no product of few columns. */
export type UpdateTerm =
  ({ readonly kind: 'factors' } & LoraTerm) | { readonly kind: 'matrix'; readonly delta: Float32Array };

/** An adapter's updates, whatever the base's weights are. */
export interface UpdateSource extends WeighedPart {
  /** The largest rank that its options name; absent where they name none. */
  readonly r?: number;
  /** What trained beside the updates. */
  readonly choice: ParameterChoice;
  term(site: Site): Promise<UpdateTerm | undefined>;
  /** What a parameter has become, adapted or trained whole; undefined where it is the base's. */
  whole(site: Site, kind: ParameterKind, base: Float32Array): Promise<Float32Array | undefined>;
}

/** Methods whose ΔW is a matrix that they make of tensors of their own, whatever the weight is. */
const MADE_MATRICES: readonly string[] = ['LOKR', 'MORA'];

/** Whether an adapter's ΔW of a weight does not depend on the weight: then it adds up with others to a LoRA. */
export function addsToLora({ adapter: { format } }: Pick<WeighedPart, 'adapter'>): boolean {
  return format.differences !== undefined || format.pair !== undefined || MADE_MATRICES.includes(format.type);
}

/**
 * @param attached the adapter on the model; of a LoRA its file is read
 * @throws ProblemError `combine.dora`, `adapter.config`, those of the adapter's files
 */
export async function updateSource(
  part: WeighedPart,
  { method, values }: AttachedAdapter,
  context: AttachContext,
): Promise<UpdateSource> {
  const { adapter } = part;
  if (adapter.format.differences === 'factors') return loraSource(part, context);
  const { options } = adapter.format.options(
    optionsWithoutHead(adapter.config, context.model.classes),
    adapter.configFile,
  );
  const factors = await exactFactors(adapter);
  const ranks = [...(factors?.values() ?? [])].map(({ r }) => r);
  return {
    ...part,
    ...(ranks.length === 0 ? {} : { r: Math.max(...ranks) }),
    choice: {
      bias: 'bias' in options ? options.bias : adapter.format.differences === 'tensors' ? 'all' : 'none',
      modules_to_save: ('modules_to_save' in options ? options.modules_to_save : undefined) ?? [],
    },
    term: (site) => {
      const own = factors?.get(site.path);
      if (own !== undefined && own.r > 0) return Promise.resolve({ kind: 'factors', ...own });
      return Promise.resolve(factors === undefined ? matrixTerm(site, method, values) : undefined);
    },
    whole: (site, kind, base) => Promise.resolve(method.merge!(site, kind, base, values)),
  };
}

function loraSource(part: WeighedPart, context: AttachContext): UpdateSource {
  const { adapter } = part;
  const options = loraOptionsOf(adapter, context);
  return {
    ...part,
    r: Math.max(options.r, ...Object.values(options.rank_pattern)),
    choice: options,
    async term(site) {
      const term = await loraTerm(adapter, options, site);
      return term && { kind: 'factors', ...term };
    },
    async whole(site, kind, base) {
      const term = kind === 'weight' && takesPair(site) ? await loraTerm(adapter, options, site) : undefined;
      if (term !== undefined) {
        const pair = lowRankPair(site, term.r, term.scale, '');
        return mergePair(pair, base, new Map([[pair.a.name, term.a] as const, [pair.b.name, term.b] as const]));
      }
      // The bias of a module that it adapts lies one level deeper; a weight there is a copy of the base's.
      const own = [...(kind === 'bias' ? ['.base_layer'] : []), '']
        .map((inside) => `${PEFT_PREFIX}${site.path}${inside}.${kind}`)
        .find((key) => adapter.tensors.has(key));
      return own === undefined ? undefined : adapter.read(own);
    },
  };
}

/** ΔW is what merging makes of zeros. */
function matrixTerm(site: Site, { merge }: Attached, values: Values): UpdateTerm | undefined {
  const [rows, columns] = parameterShape(site, 'weight') as [number, number];
  const delta = merge!(site, 'weight', new Float32Array(rows * columns), values);
  if (delta === undefined || delta.every((each) => each === 0)) return undefined;
  return { kind: 'matrix', delta: liesTransposed(site) ? transposed(delta, rows, columns) : delta };
}
