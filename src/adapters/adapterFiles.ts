import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';

export const ADAPTER_CONFIG = 'adapter_config.json';

/** The names of classes, which PEFT's files have no place for. */
export const ADAPTER_LABELS = 'labels.json';

export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

/** The name of the weights, by whose adapter it is. */
export function weightsName(library: 'adapters' | undefined): string {
  return library === 'adapters' ? LIBRARY_FILES.adapter.weights : ADAPTER_WEIGHTS;
}

/** What `compose` tried, beside an adapter that is a mixture of others. */
export const HUB_RECORD = 'lorahub.json';

/** How adapters of the `adapters` library belong together. */
export const ADAPTER_SETUP = 'adapter_setup.json';

/** The files of a folder of the `adapters` library, by what it holds. */
export const LIBRARY_FILES = {
  adapter: { config: ADAPTER_CONFIG, weights: 'adapter.safetensors' },
  fusion: { config: 'adapter_fusion_config.json', weights: 'model_adapter_fusion.safetensors' },
} as const;

/** The head that the library saves beside an adapter. */
export const LIBRARY_HEAD = { config: 'head_config.json', weights: 'model_head.safetensors' } as const;

/** What the header of weights says whose first components are those of lower ranks: no key of a config, which PEFT would not know. */
export const NESTED: Readonly<Record<string, string>> = { nested_ranks: 'true' };

/** Type of the tensors that say where the numbers of others belong. */
export const INDEX_DTYPE = 'I32' as const;

/** Real ones have a few kB; a long list of target modules makes some hundred. */
export const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

/** Why a folder of these files has no weights that can be read. */
export function weightsMissing(folder: string, names: readonly string[], wanted = ADAPTER_WEIGHTS): Problem {
  const pickled = names.find((name) => /\.(bin|pt|pth|ckpt)$/.test(name));
  if (pickled !== undefined) {
    return {
      code: 'adapter.pickle',
      message: l10n.t`the adapter's weights are in ${pickled}, a pickle: loading one can run any code, so it is refused`,
      where: { file: folder },
      expected: wanted,
      mend: l10n.t`Convert an adapter that you trust once, with Python: ${conversion(pickled, wanted)}.`,
    };
  }
  return {
    code: 'adapter.no-weights',
    message: l10n.t`the folder has no ${wanted}`,
    where: { file: folder },
    mend: l10n.t`Complete the download, or name the folder that holds the weights.`,
  };
}

/** Python that writes a pickle's tensors as safetensors. */
function conversion(pickled: string, wanted: string): string {
  // eslint-disable-next-line studio/translated-texts -- not English
  return `from safetensors.torch import save_file; save_file({k: v.contiguous() for k, v in torch.load("${pickled}", map_location="cpu", weights_only=True).items()}, "${wanted}", metadata={"format": "pt"})`;
}
