import { gatherRows } from '../tensor/ops/indexing.js';
import { add, mul } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import { layerNorm, rmsNorm } from '../tensor/ops/normalization.js';
import type { Tensor } from '../tensor/tensor.js';
import { weight } from '../tensor/tensor.js';
import { keysInFrontCount, withKeysInFront } from './keysInFront.js';
import { parameterShape } from './site.js';
import type {
  AttentionPlace,
  Hooks,
  KeyValues,
  ParameterKind,
  Phase,
  Site,
  SiteParameters,
  Stack,
  SublayerPlace,
  SublayerTensors,
} from './site.js';
import { withVirtualTokens } from './virtualTokens.js';

/**
 * What an architecture builds its graph with: it names its modules, the scope finds their weights and lets the
 * attached methods act.
 */
export interface Scope {
  /** x [..., in] → x Wᵀ + b [..., out] */
  linear(path: string, x: Tensor): Tensor;
  /**
   * ids [batch, sequence] → [batch, sequence, hidden]
   * @param scale what the rows of the vocabulary are multiplied by; those of virtual tokens are not
   */
  embedding(path: string, ids: Tensor, scale?: number): Tensor;
  /**
   * x [..., hidden] → the same shape
   * @param offset added to the weight: 1 where the model's norms are 1 + w
   */
  rmsNorm(path: string, x: Tensor, epsilon: number, offset?: number): Tensor;
  /** With weight and bias; x [..., hidden] → the same shape */
  layerNorm(path: string, x: Tensor, epsilon: number): Tensor;
  /** How many keys methods put before those of every text. */
  readonly keysInFront: number;
  /** Keys and values [batch, keyHeads, n, headSize] of a place, with those that methods put in front of them. */
  attention(place: AttentionPlace, keys: Tensor, values: Tensor): KeyValues;
  /** What a sublayer adds to the residual stream, once methods have had their say: [..., hidden]. */
  sublayer(place: SublayerPlace, tensors: SublayerTensors): Tensor;
  /** What the first layer of a stack reads, once methods have had their say: [..., hidden]. */
  stackInput(stack: Stack, x: Tensor): Tensor;
  /** What a layer reads, [..., hidden]: all that comes from the layers below; or what is given in its place. */
  layerInput(layer: number, x: Tensor): Tensor;
  /** What layers read that is made of those below, by their numbers. */
  readonly layerInputs: ReadonlyMap<number, Tensor>;
  /** Results of the sites in the order in which they were built: where a first non-finite value is looked for. */
  readonly results: readonly { readonly path: string; readonly result: Tensor }[];
}

/** What a layer is to read, [..., hidden], instead of what the layers below would make. */
export interface GivenInput {
  readonly layer: number;
  readonly x: Tensor;
}

/** A scope over a model's sites with methods attached in order. */
export function createScope(
  sites: readonly Site[],
  hooks: readonly Hooks[],
  phase: Phase,
  given?: GivenInput,
): Scope {
  const byPath = new Map(sites.map((site) => [site.path, site]));
  const weights = new Map<string, Tensor>();
  const results: { path: string; result: Tensor }[] = [];
  const layerInputs = new Map<number, Tensor>();

  // Sites are in the order of the forward pass: tokens are looked up before anything else.
  const tokenSite = sites.find(({ kind }) => kind === 'embedding');

  const siteAt = (path: string): Site => {
    const site = byPath.get(path);
    if (site === undefined) throw new Error(`the model has no module ${path}`);
    return site;
  };
  // A weight that two sites share (a tied head) is one tensor of the graph.
  const frozen = (name: string, shape: readonly number[]): Tensor => {
    const known = weights.get(name) ?? weight(name, shape);
    weights.set(name, known);
    return known;
  };
  const parameter = (site: Site, kind: ParameterKind, x: Tensor): Tensor | undefined => {
    const name = kind === 'weight' ? site.weight : site.bias;
    if (name === undefined) return undefined;
    return hooks.reduce<Tensor>(
      (base, hook) => hook.parameter?.(site, kind, base, phase, x) ?? base,
      frozen(name, parameterShape(site, kind)),
    );
  };
  /** @param seen what the site reads, as a method (by its place) sees it */
  const finish = (site: Site, seen: (method: number) => Tensor, y: Tensor, own: SiteParameters): Tensor => {
    const result = hooks.reduce((sofar, hook, at) => hook.output?.(site, seen(at), sofar, phase, own) ?? sofar, y);
    results.push({ path: site.path, result });
    return result;
  };
  return {
    linear(path, x) {
      const site = siteAt(path);
      // The last method stands outermost: x as each of them sees it, the first one's last.
      const seen = hooks.reduceRight<Tensor[]>(
        (inner, hook) => [hook.input?.(site, inner[0]!, phase) ?? inner[0]!, ...inner],
        [x],
      );
      const used = parameter(site, 'weight', seen[0]!)!;
      const product = matmul(seen[0]!, used, { transposeB: site.layout !== 'in-out' });
      const bias = parameter(site, 'bias', seen[0]!);
      const y = bias === undefined ? product : add(product, bias);
      return finish(site, (at) => seen[at + 1]!, y, { weight: used, bias });
    },
    embedding(path, ids, scale) {
      const site = siteAt(path);
      const table = parameter(site, 'weight', ids)!;
      const lookUp = (known: Tensor): Tensor => {
        const rows = finish(site, () => known, gatherRows(table, known), { weight: table });
        return scale === undefined ? rows : mul(rows, scale);
      };
      return site === tokenSite ? withVirtualTokens(ids, site.shape[0]!, hooks, phase, lookUp) : lookUp(ids);
    },
    rmsNorm(path, x, epsilon, offset = 0) {
      const site = siteAt(path);
      const used = parameter(site, 'weight', x)!;
      return finish(site, () => x, rmsNorm(x, add(used, offset), epsilon), { weight: used });
    },
    layerNorm(path, x, epsilon) {
      const site = siteAt(path);
      const [used, bias] = [parameter(site, 'weight', x)!, parameter(site, 'bias', x)!];
      return finish(site, () => x, layerNorm(x, used, bias, epsilon), { weight: used, bias });
    },
    keysInFront: keysInFrontCount(hooks),
    attention: (place, keys, values) => withKeysInFront(place, { keys, values }, hooks, phase),
    sublayer(place, tensors) {
      const output = hooks.reduce(
        (sofar, hook) => hook.sublayer?.(place, { ...tensors, output: sofar }, phase) ?? sofar,
        tensors.output,
      );
      if (output !== tensors.output) results.push({ path: place.path, result: output });
      return output;
    },
    stackInput: (stack, x) => hooks.reduce((sofar, hook) => hook.stackInput?.(stack, sofar, phase) ?? sofar, x),
    layerInput(layer, x) {
      layerInputs.set(layer, x);
      return layer === given?.layer ? given.x : x;
    },
    layerInputs,
    results,
  };
}
