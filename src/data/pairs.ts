import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import type { DataFormat } from './columns.js';

/** What an encoder-decoder cannot learn from: it answers prompts, and nothing predicts what its encoder reads. */
export function pairsProblem(format: DataFormat, trainOnPrompt: boolean): Problem | undefined {
  if (format === 'chat' || format === 'text') {
    return {
      code: 'data.not-pairs',
      message:
        format === 'chat'
          ? l10n.t`the rows are conversations, and the model is an encoder-decoder`
          : l10n.t`the rows are plain text, and the model is an encoder-decoder`,
      expected: l10n.t`a prompt, which the encoder reads, and an answer, which the decoder learns to write`,
      mend: l10n.t`Turn the rows into prompt and completion.`,
    };
  }
  if (!trainOnPrompt) return undefined;
  return {
    code: 'data.train-on-prompt',
    message: l10n.t`train_on_prompt is true, and the model is an encoder-decoder`,
    expected: l10n.t`false: its encoder reads the prompts, and nothing predicts their tokens`,
    mend: l10n.t`Take train_on_prompt out.`,
  };
}
