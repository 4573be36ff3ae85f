import * as l10n from '@vscode/l10n';
import type { WeightWork } from '../methods/method.js';
import { runtimeProducts } from '../runtime/matrixProducts.js';
import type { Runtime } from '../runtime/runtime.js';
import { breathe } from './job.js';
import type { RunEvent } from './events.js';

/**
 * Lets methods take weights apart, with products on a runtime.
 * @param checkStop throws when the run is asked to end
 * @param activity what it is called while it goes on
 */
export async function withWeightWork<Result>(
  runtime: Runtime,
  emit: (event: RunEvent) => void,
  checkStop: () => void,
  work: (weightWork: WeightWork) => Promise<Result>,
  activity = l10n.t`Taking weights apart`,
): Promise<Result> {
  const products = await runtimeProducts(runtime);
  try {
    return await work({
      products: products.of,
      async progress(done, total) {
        checkStop();
        emit({ type: 'progress', activity, done, total });
        await breathe();
      },
    });
  } finally {
    await products.dispose();
  }
}
