import * as l10n from '@vscode/l10n';
import { formatLoss } from '../common/format.js';
import type { RunConfig } from '../config/schema.js';
import type { Example } from '../data/example.js';
import { checkContinues, createDecoder, createTogether } from '../generation/decoder.js';
import type { Decoder, DecoderSetup } from '../generation/decoder.js';
import { checkSameVocabulary, proxyDecoder } from '../generation/proxyTuning.js';
import { positionsInFront } from '../models/keysInFront.js';
import type { Runtime } from '../runtime/runtime.js';
import type { RunEvent } from '../training/events.js';
import { metricsOf } from '../training/heldOut.js';
import { breathe, longest } from '../training/job.js';
import type { HubOptions } from '../models/hub/context.js';
import { checkReadable, evaluateDecoder } from './evaluateDecoder.js';
import { openModel } from './session.js';
import type { OpenedModel } from './session.js';

/** A large base that what a run trains is to steer: `proxy_tuning` of the run file. */
export interface SteeredBase {
  readonly base: OpenedModel;
  /**
   * Throws what {@link evaluate} would refuse, before the run trains.
   * @throws ProblemError `data.long-row`, `data.token-id`
   */
  check(methods: DecoderSetup['methods'], examples: readonly Example[]): void;
  /** The base as the run's model with its methods steers it. */
  decoder(small: DecoderSetup): Promise<Decoder>;
  /**
   * Loss and accuracy on held-out rows, of the steered base (`steered_eval_…`) and of the base alone (`base_eval_…`);
   * undefined without rows, or when a stop broke it off.
   */
  evaluate(
    small: Omit<DecoderSetup, 'positionLimit'>,
    examples: readonly Example[],
    control: { readonly emit: (event: RunEvent) => void; readonly stopRequested: () => boolean },
  ): Promise<Readonly<Record<string, number>> | undefined>;
}

/**
 * Opens the base and checks that its tokens are those of the run's model.
 * @throws ProblemError `generation.encoder`, `proxy.vocabulary`, and those of the model
 */
export async function openSteeredBase(
  options: NonNullable<RunConfig['proxy_tuning']>,
  small: OpenedModel,
  runtime: () => Promise<Runtime>,
  hub: HubOptions,
): Promise<SteeredBase> {
  checkContinues(small.model);
  const large = await openModel(options.model, 0, hub);
  checkContinues(large.model);
  checkSameVocabulary(large.tokenizer, small.tokenizer);
  let mapped: Promise<Pick<DecoderSetup, 'weights' | 'runtime'>> | undefined;
  const base = async (positionLimit: number): Promise<Decoder> => {
    mapped ??= (async () => ({ weights: await large.checkpoint.mapped(), runtime: await runtime() }))();
    return createDecoder({
      ...(await mapped),
      model: large.model,
      methods: [],
      values: new Map(),
      positionLimit: Math.min(positionLimit, large.model.maxPositions),
    });
  };
  const steered = async (setup: DecoderSetup): Promise<Decoder> => {
    const [expert, antiExpert, large] = await createTogether([
      () => createDecoder(setup),
      () => createDecoder({ ...setup, methods: [], values: new Map() }),
      () => base(setup.positionLimit),
    ]);
    return proxyDecoder({ base: large!, expert: expert!, antiExpert: antiExpert!, alpha: options.alpha });
  };
  return {
    base: large,
    check(methods, examples) {
      const inFront = positionsInFront(methods.map(({ hooks }) => hooks));
      checkReadable(examples, {
        positionLimit: Math.min(small.model.maxPositions - inFront, large.model.maxPositions),
        vocabSize: large.model.vocabSize,
      });
    },
    decoder: steered,
    async evaluate(setup, examples, { emit, stopRequested }) {
      if (examples.length === 0) return undefined;
      const inFront = positionsInFront(setup.methods.map(({ hooks }) => hooks));
      const positionLimit = Math.min(setup.model.maxPositions, inFront + longest(examples) + 1);
      const measure = async (decoder: Decoder): ReturnType<typeof evaluateDecoder> => {
        try {
          return await evaluateDecoder(decoder, examples, async (done, total) => {
            emit({ type: 'progress', activity: l10n.t`Evaluating the steered base model`, done, total });
            await breathe();
            return !stopRequested();
          });
        } finally {
          await decoder.dispose();
        }
      };
      const alone = await measure(await base(positionLimit));
      if (alone.rows < examples.length) return undefined;
      const found = await measure(await steered({ ...setup, positionLimit }));
      if (found.rows < examples.length) return undefined;
      emit({
        type: 'log',
        level: 'info',
        message: l10n.t`${options.model}, steered by the result: held-out loss ${formatLoss(found.loss)}; without it ${formatLoss(alone.loss)}.`,
      });
      return { ...metricsOf('steered_eval', found), ...metricsOf('base_eval', alone) };
    },
  };
}
