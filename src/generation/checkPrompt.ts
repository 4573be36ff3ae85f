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
      message: `prompt ${row + 1} holds no token, and the model needs one to start from`,
      expected: 'at least one token',
      mend: "Write some text, or begin with the model's beginning-of-text token.",
    });
  }
  if (prompt.length >= positionLimit) {
    fail({
      code: 'generation.prompt-too-long',
      message: `prompt ${row + 1} has ${prompt.length} tokens, which leaves no room for an answer`,
      expected: `at most ${positionLimit - 1} tokens: prompt and answer share ${positionLimit} positions`,
      mend: 'Shorten the prompt, or use a model with more positions.',
    });
  }
  const outside = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
  if (outside !== undefined) {
    fail({
      code: 'generation.token',
      message: `prompt ${row + 1} holds the token id ${outside}`,
      expected: `ids from 0 to ${vocabulary - 1}, the model's vocabulary`,
      mend: "Tokenizer and model belong to different models: use the model's own tokenizer.",
    });
  }
}
