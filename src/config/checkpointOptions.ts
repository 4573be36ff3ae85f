import { Type } from '@sinclair/typebox';

/** Evaluations, checkpoints and what follows from them; a part of `training`. */
export const CHECKPOINT_OPTIONS = {
  eval_steps: Type.Optional(
    Type.Integer({
      minimum: 1,
      description: 'Evaluate every so many optimizer steps; without it, at the end of each epoch.',
    }),
  ),
  eval_generations: Type.Integer({
    minimum: 0,
    maximum: 20,
    default: 0,
    description:
      'How many validation rows, the first ones, the model answers at each evaluation, shown in the panel: greedy, so that the same model gives the same answers. Needs validation data; changes nothing of the training.',
  }),
  eval_generation_tokens: Type.Integer({
    minimum: 1,
    maximum: 1024,
    default: 64,
    description: 'Tokens that an answer of `eval_generations` has at most.',
  }),
  save_steps: Type.Optional(
    Type.Integer({
      minimum: 1,
      description:
        'Write a checkpoint every so many optimizer steps; without it, at the end of each epoch. A run that was stopped or killed is resumed from its last checkpoint.',
    }),
  ),
  save_total_limit: Type.Integer({
    minimum: 1,
    default: 1,
    description: 'How many checkpoints to keep, the newest; the best one is kept beside them.',
  }),
  load_best_model_at_end: Type.Boolean({
    default: false,
    description:
      'The result is that of the best evaluation (see `metric_for_best_model`), not of the last step. Needs validation data.',
  }),
  metric_for_best_model: Type.Union(
    [
      Type.Literal('eval_loss', { description: 'Mean loss per supervised token; the lowest is the best.' }),
      Type.Literal('eval_token_accuracy', { description: 'Share of supervised tokens predicted right.' }),
      Type.Literal('eval_row_accuracy', { description: 'Share of rows predicted right in full.' }),
      Type.Literal('eval_accuracy', { description: 'Share of rows whose class is told right (`SEQ_CLS`).' }),
      Type.Literal('eval_macro_f1', { description: "The classes' F1 scores, in the mean (`SEQ_CLS`)." }),
    ],
    {
      default: 'eval_loss',
      description:
        'What tells the best evaluation on the held-out rows: the lowest loss, or the highest accuracy or F1 score.',
    },
  ),
  early_stopping_patience: Type.Optional(
    Type.Integer({
      minimum: 1,
      description:
        'End the run after so many evaluations in a row without an improvement of `metric_for_best_model`. Needs validation data.',
    }),
  ),
  early_stopping_threshold: Type.Number({
    minimum: 0,
    default: 0,
    description: 'By how much the metric has to improve for early stopping to count it.',
  }),
} as const;
