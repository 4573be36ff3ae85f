import type { Problem } from '../common/problem.js';

export const ADAPTER_CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

/** Type of the tensors that say where the numbers of others belong. */
export const INDEX_DTYPE = 'I32' as const;

/** Real ones have a few kB; a long list of target modules makes some hundred. */
export const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

/** Why a folder of these files has no weights that can be read. */
export function weightsMissing(folder: string, names: readonly string[]): Problem {
  const pickled = names.find((name) => /\.(bin|pt|pth|ckpt)$/.test(name));
  if (pickled !== undefined) {
    return {
      code: 'adapter.pickle',
      message: `the adapter's weights are in ${pickled}, a pickle: loading one can run any code, so it is refused`,
      where: { file: folder },
      expected: ADAPTER_WEIGHTS,
      mend:
        'Convert an adapter that you trust once, with Python: from safetensors.torch import save_file; ' +
        `save_file({k: v.contiguous() for k, v in torch.load("${pickled}", map_location="cpu", weights_only=True).items()}, ` +
        `"${ADAPTER_WEIGHTS}", metadata={"format": "pt"}).`,
    };
  }
  return {
    code: 'adapter.no-weights',
    message: `the folder has no ${ADAPTER_WEIGHTS}`,
    where: { file: folder },
    mend: 'Complete the download, or name the folder that holds the weights.',
  };
}
