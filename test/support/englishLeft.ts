/** Names, units and abbreviations that are the same in Chinese texts. */
const SAME =
  /\b(?:PEFT|Studio|LoRA|AdaLoRA|SLTrain|GaLore|Markdown|Node|Frobenius|Ctrl|Enter|Escape|min|nat|diag|logits|epoch|Hugging|Face|[A-Z]{2,}|[kMGT]iB|lora|adalora|embedded)\b/g;
/** Paths; and modules, options and files: letters with a dot, a slash or an underscore between. */
const IDENTIFIER = /\/[^\s，。；：）]+|\.?\b[A-Za-z0-9]+(?:[._/:]+[A-Za-z0-9]+)+/g;

/** The texts in which English words are left, after names, options and code. */
export function englishLeft(texts: readonly string[], names: readonly string[] = []): readonly string[] {
  return [...new Set(texts)].filter((text) => {
    const rest = names.reduce((left, name) => left.replaceAll(name, ''), text);
    return /[A-Za-z]{3,}/.test(
      rest
        .replace(/`[^`]*`/g, '')
        .replace(IDENTIFIER, '')
        .replace(SAME, ''),
    );
  });
}
