import * as l10n from '@vscode/l10n';
import type { Json } from '../../common/json.js';
import type { MethodConfig, RunConfig } from '../../config/schema.js';
import type { ConfigChange } from '../../config/setIn.js';
import { bottleneckForm } from '../../methods/adapterOptions.js';
import { startRank } from '../../methods/doraRank.js';
import { halvings } from './idea.js';
import type { Idea } from './idea.js';

/** A rank or a prompt below this is another method. */
const LEAST_RANK = 4;
/** Rank of the LoRA that is offered instead of training everything, and the learning rate that suits it. */
const OFFERED_RANK = 8;
const LORA_RATE = 2e-4;
/** A learning rate below this was chosen for training everything. */
const LOW_RATE = 1e-4;

/** What of a method would save memory. `at`: its place in the run file's list. */
export function methodIdeas(config: RunConfig, method: MethodConfig, at: number): readonly Idea[] {
  const of = config.method.length > 1 ? l10n.t` of method ${at + 1} (${method.type})` : '';
  const set = (option: string, value: Json): ConfigChange => ({ path: ['method', at, option], value });
  const smaller = (option: string, values: readonly number[], what: string, cost: string): Idea => ({
    keepsResult: false,
    forms: values.map((value) => ({ name: `${what} ${value}${of}`, cost, changes: [set(option, value)] })),
  });
  switch (method.type) {
    case 'lora':
    case 'relora':
    case 'cola':
    case 'melora':
    case 'mora':
      return [
        smaller('r', halvings(method.r, LEAST_RANK), l10n.t`Rank`, l10n.t`an update that can say less`),
        ...addedIdeas(method, of, set),
      ];
    case 'sora':
    case 'dylora':
      return [smaller('r', halvings(method.r, LEAST_RANK), l10n.t`Rank`, l10n.t`an update that can say less`)];
    case 'dora_rank':
      return [
        {
          keepsResult: false,
          forms: halvings(startRank(method), LEAST_RANK).map((rank) => ({
            name: l10n.t`First rank ${rank}${of}`,
            cost: l10n.t`fewer ranks to choose from`,
            changes: [
              set('start_rank', rank),
              ...(method.r > rank ? [set('r', Math.max(1, Math.floor((rank * 2) / 3)))] : []),
            ],
          })),
        },
      ];
    case 'adalora':
      return [
        {
          keepsResult: false,
          forms: halvings(method.init_r, LEAST_RANK).map((rank) => ({
            name: l10n.t`First rank ${rank}${of}`,
            cost: l10n.t`fewer ranks to choose from`,
            changes: [
              set('init_r', rank),
              ...(method.target_r > rank ? [set('target_r', Math.max(1, Math.floor((rank * 2) / 3)))] : []),
            ],
          })),
        },
        ...addedIdeas(method, of, set),
      ];
    case 'galore':
      return [
        smaller(
          'rank',
          halvings(method.rank, LEAST_RANK),
          l10n.t`Rank`,
          l10n.t`a smaller subspace for the optimizer`,
        ),
      ];
    case 'lisa':
      return [
        smaller(
          'lisa_activated_layers',
          halvings(method.lisa_activated_layers, 1),
          l10n.t`Layers at a time`,
          l10n.t`each layer trains less often`,
        ),
      ];
    case 'last_layers': {
      const { num_layers: layers, fraction } = method;
      const cost = l10n.t`fewer layers train`;
      return [
        layers === undefined
          ? smaller('fraction', halvings(fraction, 0), l10n.t`Share of the layers`, cost)
          : smaller('num_layers', halvings(layers, 1), l10n.t`Last layers:`, cost),
      ];
    }
    case 'bitfit':
    case 'lt_sft':
    case 'ia3':
    case 'intrinsic':
      return [];
    case 'adapter':
      return [smallerAdapter(method, smaller)];
    case 'adapter_fusion':
      return [];
    case 'ciat': {
      const { bottleneck_size: size } = method;
      if (size === undefined) return [];
      return [
        smaller(
          'bottleneck_size',
          halvings(size, LEAST_RANK),
          l10n.t`Bottleneck`,
          l10n.t`adapters that can say less`,
        ),
      ];
    }
    case 'fish_mask':
    case 'fish_dip':
    case 'pafi':
    case 'sam':
      return [smaller('keep_ratio', halvings(method.keep_ratio, 0), l10n.t`Share`, l10n.t`fewer numbers train`)];
    case 'prompt_tuning':
    case 'prefix_tuning':
      return [
        smaller(
          'num_virtual_tokens',
          halvings(method.num_virtual_tokens, LEAST_RANK),
          l10n.t`Virtual tokens:`,
          l10n.t`a prompt that can say less`,
        ),
      ];
    case 'full':
      return [
        {
          keepsResult: false,
          forms: [
            {
              name: l10n.t`LoRA (r ${OFFERED_RANK}) instead of training everything${of}`,
              cost: l10n.t`close to it on most tasks`,
              changes: [
                set('type', 'lora'),
                set('r', OFFERED_RANK),
                ...(config.training.learning_rate < LOW_RATE
                  ? [{ path: ['training', 'learning_rate'], value: LORA_RATE }]
                  : []),
              ],
            },
          ],
        },
      ];
    case 'sltrain':
      return [
        smaller('r', halvings(method.r, LEAST_RANK), l10n.t`Rank`, l10n.t`an update that can say less`),
        smaller('sp_ratio', halvings(method.sp_ratio, 0), l10n.t`Share`, l10n.t`fewer numbers train`),
      ];
    case 'learned_mask':
    case 'child_tuning':
    case 'lokr':
    case 'lotr':
      return [];
  }
}

/** A smaller bottleneck, by the option that the run file sets it with. */
function smallerAdapter(
  method: Extract<MethodConfig, { type: 'adapter' }>,
  smaller: (option: string, values: readonly number[], what: string, cost: string) => Idea,
): Idea {
  const cost = l10n.t`an adapter that can say less`;
  const { bottleneck_size: size } = method;
  if (size !== undefined) return smaller('bottleneck_size', halvings(size, LEAST_RANK), l10n.t`Bottleneck`, cost);
  const factor = bottleneckForm(method.placement, method, 1).reduction_factor;
  const factors = typeof factor === 'number' ? [2 * factor, 4 * factor] : [];
  return smaller('reduction_factor', factors, l10n.t`Reduction factor`, cost);
}

/** What low-rank methods may train beside their pairs, and keep for dropout. */
function addedIdeas(
  method: Extract<MethodConfig, { type: 'lora' | 'adalora' | 'relora' | 'cola' | 'melora' | 'mora' }>,
  of: string,
  set: (option: string, value: Json) => ConfigChange,
): readonly Idea[] {
  const one = (name: string, cost: string, ...changes: readonly ConfigChange[]): Idea => ({
    keepsResult: false,
    forms: [{ name: `${name}${of}`, cost, changes }],
  });
  const whole = method.modules_to_save ?? [];
  return [
    ...(whole.length > 0
      ? [
          one(
            l10n.t`No modules trained whole`,
            l10n.t`${whole.join(', ')} stay as they are`,
            set('modules_to_save', []),
          ),
        ]
      : []),
    ...(method.lora_dropout > 0
      ? [one(l10n.t`No dropout`, l10n.t`less to keep it from learning the rows by heart`, set('lora_dropout', 0))]
      : []),
  ];
}
