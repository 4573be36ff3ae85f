import * as l10n from '@vscode/l10n';

/** A metric of a run as people read it: `initial_eval_loss` → `initial eval loss`. */
export function metricName(name: string): string {
  if (name.startsWith('initial_')) return l10n.t`initial ${metricName(name.slice('initial_'.length))}`;
  if (name.startsWith('steered_')) return l10n.t`steered base: ${metricName(name.slice('steered_'.length))}`;
  if (name.startsWith('base_eval_')) return l10n.t`base alone: ${metricName(name.slice('base_'.length))}`;
  switch (name) {
    case 'train_loss':
      return l10n.t`train loss`;
    case 'eval_loss':
      return l10n.t`eval loss`;
    case 'eval_token_accuracy':
      return l10n.t`eval token accuracy`;
    case 'eval_row_accuracy':
      return l10n.t`eval row accuracy`;
    case 'eval_accuracy':
      return l10n.t`eval accuracy`;
    case 'eval_macro_f1':
      return l10n.t`eval macro F1`;
    default:
      // With spaces it breaks at words.
      return name.replaceAll('_', ' ');
  }
}
