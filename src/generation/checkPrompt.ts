import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';

/**
 * @param row of the prompt, from 0
 * @throws ProblemError `generation.empty-prompt`, `generation.prompt-too-long`, `generation.token`
 */
export function checkPrompt(
  prompt: readonly number[],
  row: number,
  vocabulary: number,
  positionLimit: number,
): void {
  if (prompt.length === 0) {
    fail({
      code: 'generation.empty-prompt',
      message: l10n.t`prompt ${row + 1} holds no token, and the model needs one to start from`,
      expected: l10n.t`at least one token`,
      mend: l10n.t`Write some text, or begin with the model's beginning-of-text token.`,
    });
  }
  if (prompt.length >= positionLimit) {
    fail({
      code: 'generation.prompt-too-long',
      message: l10n.t`prompt ${row + 1} has ${prompt.length} tokens, which leaves no room for an answer`,
      expected: l10n.t`at most ${positionLimit - 1} tokens: prompt and answer share ${positionLimit} positions`,
      mend: l10n.t`Shorten the prompt, or use a model with more positions.`,
    });
  }
  const outside = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
  if (outside !== undefined) {
    fail({
      code: 'generation.token',
      message: l10n.t`prompt ${row + 1} holds the token id ${outside}`,
      expected: l10n.t`ids from 0 to ${vocabulary - 1}, the model's vocabulary`,
      mend: l10n.t`Tokenizer and model belong to different models: use the model's own tokenizer.`,
    });
  }
}
