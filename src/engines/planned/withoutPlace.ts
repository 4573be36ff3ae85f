import type { ModelShape } from '../../memory/modelShape.js';
import type { Trained } from '../../memory/trained.js';
import { bottleneckForm, bottleneckSize, factorOf } from '../../methods/adapterOptions.js';
import type { BottleneckChoice } from '../../methods/adapterOptions.js';
import type { MethodConfig } from '../../methods/registry.js';
import { enlarged } from '../../methods/sparseAdapter.js';

/** What acts at no module in particular: on the whole model, before its rows, or between modules. */
export function withoutPlace(config: MethodConfig, shape: ModelShape): readonly Trained[] {
  switch (config.type) {
    case 'full':
      return [{ kind: 'full' }];
    case 'child_tuning':
      return [{ kind: 'mask' }];
    case 'prompt_tuning':
      return [{ kind: 'virtual-tokens', count: config.num_virtual_tokens }];
    case 'prefix_tuning':
      return [
        {
          kind: 'prefix',
          count: config.num_virtual_tokens,
          ...(config.prefix_projection ? { projection: config.encoder_hidden_size ?? 'width' } : {}),
        },
      ];
    case 'adapter':
      return adaptersOf(config, shape);
    case 'ciat':
      return ciatOf(config, shape);
    case 'adapter_fusion':
      return fusionOf(config, shape);
    default:
      return [];
  }
}

/** The adapters at one task each, and at each place of theirs query, key and value. */
function fusionOf(
  config: Extract<MethodConfig, { type: 'adapter_fusion' }>,
  shape: ModelShape,
): readonly Trained[] {
  const { hidden, blocks } = shape;
  const adapters = adaptersOf({ ...config, sparsity: 0, large_sparse: false }, shape);
  // As a matrix [d, d] with a bias in place of the bottleneck: 2·d·1 + d + 1 are in it as an adapter of size 1.
  const scales = (config.value ? 3 : 2) * hidden * hidden + 2 * hidden - (3 * hidden + 1);
  const places = adapters.reduce((sum, each) => sum + (each.kind === 'adapters' ? each.perLayer : 0), 0);
  const form = bottleneckForm(config.placement, config, hidden);
  const crosses = form.cross_adapter && blocks.some((block) => block.crossAttention);
  const kinds = [form.mh_adapter, form.output_adapter, crosses].filter(Boolean).length;
  const perLayer = config.share_layers ? kinds / blocks.reduce((sum, { layers }) => sum + layers, 0) : places;
  const layers: readonly Trained[] = [{ kind: 'adapters', size: 1, perLayer, scales }];
  return config.adapters === undefined ? [...adapters, ...layers] : layers;
}

/** Two adapters in each layer, and one with a norm of its own on what each stack reads. */
function ciatOf(
  config: Extract<MethodConfig, { type: 'ciat' }>,
  { hidden, blocks }: ModelShape,
): readonly Trained[] {
  const size = config.bottleneck_size ?? Math.max(1, Math.floor(hidden / 2));
  const layers = blocks.reduce((sum, block) => sum + block.layers, 0);
  const stacks = blocks.some((block) => block.crossAttention) ? 2 : 1;
  return [
    ...(config.layer_adapters ? [{ kind: 'adapters' as const, size, perLayer: 2 }] : []),
    ...(config.embedding_adapters
      ? [{ kind: 'adapters' as const, size, perLayer: stacks / layers, scales: 2 * hidden }]
      : []),
  ];
}

type SparseSize = Pick<Extract<MethodConfig, { type: 'adapter' }>, 'sparsity' | 'large_sparse'>;

/** Bottlenecks by their size, where layers have different ones. */
function adaptersOf(
  config: BottleneckChoice & SparseSize & Pick<Extract<MethodConfig, { type: 'adapter' }>, 'placement'>,
  { hidden, blocks }: ModelShape,
): readonly Trained[] {
  const form = enlarged(bottleneckForm(config.placement, config, hidden), config);
  const scales = form.scaling === 'learned' ? 1 : form.scaling === 'channel' ? hidden : 0;
  const layers = blocks.flatMap((block) => Array.from({ length: block.layers }, () => block));
  const counts = new Map<number, number>();
  for (const [layer, block] of layers.entries()) {
    const factor = factorOf(form, layer);
    if (factor === undefined || form.leave_out.includes(layer)) continue;
    const crosses = form.cross_adapter && block.crossAttention;
    const here = [form.mh_adapter, form.output_adapter, crosses].filter(Boolean).length;
    const size = bottleneckSize(hidden, factor);
    counts.set(size, (counts.get(size) ?? 0) + here);
  }
  const adapters = [...counts].map(([size, count]): Trained => ({
    kind: 'adapters',
    size,
    perLayer: count / layers.length,
    scales,
  }));
  return config.sparsity > 0 ? [...adapters, { kind: 'mask' }] : adapters;
}
