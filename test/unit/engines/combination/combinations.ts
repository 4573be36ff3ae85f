import type { CombinedModule } from '../../../../src/adapters/combining/combination.js';
import { combinedLayers } from '../../../../src/adapters/combining/combinedLayers.js';
import { freshForm } from '../../../../src/engines/combination/form.js';
import type { CombinationForm } from '../../../../src/engines/combination/form.js';
import type { CombinationPreview } from '../../../../src/engines/combination/preview.js';
import type { ToCombine } from '../../../../src/host/combineProtocol.js';

/** What became of a module of `model.layers.N.`, out of two adapters. */
export function combinedModule(path: string, changed: Partial<CombinedModule> = {}): CombinedModule {
  return {
    path,
    layer: Number(/\.(\d+)\./.exec(path)?.[1] ?? NaN) || 0,
    weights: [1, 1],
    size: 100,
    rank: 4,
    numbers: 80,
    norms: [3, 4],
    norm: 5,
    error: 0,
    pairs: [{ adapters: [0, 1], cosine: -0.25, shared: 0.3, sharedByChance: 0.1, signConflicts: 0.625 }],
    ...changed,
  };
}

/** A preview of two adapters, /a and /b. */
export function previewOf(
  modules: readonly CombinedModule[],
  changed: Partial<CombinationPreview> = {},
): CombinationPreview {
  return {
    from: ['/a', '/b'].map((folder) => ({ folder, peft_type: 'LORA', weight: 1 })),
    numbers: modules.reduce((sum, { numbers }) => sum + numbers, 0),
    modules,
    ...combinedLayers(modules),
    warnings: [],
    ...changed,
  };
}

/** What the editor tells the page of two adapters, with the preview that is numbered so. */
export function combinationOf(
  found: CombinationPreview | undefined,
  changed: Partial<ToCombine> = {},
  form: Partial<CombinationForm> = {},
): ToCombine {
  return {
    type: 'combination',
    seen: 0,
    form: { ...freshForm(['/a', '/b']), ...form },
    kind: 'factors',
    adapters: [
      { folder: '/a', name: 'sql', place: 'runs/a', method: 'lora', ranks: [2, 2], trained: 4096 },
      { folder: '/b', name: 'news', place: 'runs/b', method: 'lora', ranks: [2, 4], trained: 8192 },
    ],
    base: 'tiny',
    command: 'peft-studio combine runs/a runs/b --out=combined',
    state: { kind: 'settled' },
    preview: found && { number: 1, found },
    writing: false,
    ...changed,
  };
}
