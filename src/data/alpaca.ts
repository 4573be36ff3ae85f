/**
 * The prompt of an instruction in the layout of Stanford Alpaca (Taori et al. 2023): headings of three number
 * signs, an input section only where there is an input, and the response heading last. The preamble's wording
 * is our own.
 */
export function alpacaPrompt(instruction: string, input = ''): string {
  return input.trim() === ''
    ? `Here is a task. Write a response that completes it.\n\n### Instruction:\n${instruction}\n\n### Response:\n`
    : 'Here is a task, with an input that it applies to. Write a response that completes it.\n\n' +
        `### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:\n`;
}
