import type { TSchema } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { changedOptions } from './changedOptions.js';
import type { OptionProblem } from './targets.js';

/**
 * Says of options that are given, and that another one leaves nothing to decide.
 *
 * @param properties of the options that have no say
 * @param because the option that has, and its value
 * @param wanted what to set for them to be used, `mode: F`; undefined: one of the two is too much
 */
export function idleOptions(
  options: object,
  properties: Readonly<Record<string, TSchema>>,
  because: { readonly option: string; readonly value: string | number },
  wanted?: string,
): OptionProblem[] {
  return changedOptions(options, properties).map((name) => ({
    code: 'method.idle-option',
    severity: 'warning',
    message: l10n.t`${name} is not used: ${because.option} is ${because.value}`,
    mend: wanted === undefined ? l10n.t`Remove one of the two.` : l10n.t`Set ${wanted}, or remove ${name}.`,
    option: [name],
  }));
}
