import * as l10n from '@vscode/l10n';
import { nearestName } from '../../common/nearest.js';
import { fail } from '../../common/problem.js';
import { readYaml } from '../../config/readYaml.js';
import { GUIDED } from '../../config/scaffold.js';
import { plainValue } from '../../config/tree.js';
import { METHODS } from '../../methods/registry.js';

/** One method of a run file as it was given: `type`, and options that are not checked yet. */
export type GivenMethod = { readonly type: string } & Readonly<Record<string, unknown>>;

/** What is compared with the others: a method, or several of one run. */
export interface MethodEntry {
  /** As it was written, without spaces around its parts: `lora{r=4}`, `lora+child_tuning`. */
  readonly label: string;
  /** The section `method` of its run file; what is not given has its default. */
  readonly methods: readonly GivenMethod[];
}

/**
 * Entries out of a list such as `lora, lora{r=4, lora_dropout=0.1}, full+child_tuning`: types of methods with commas
 * between, options in braces as `key=value` (values are YAML), `+` between methods of one run. A method that only guides
 * others stands behind LoRA where it is named alone, as in the scaffold.
 *
 * @throws ProblemError `compare.entry` for what is no entry, `compare.method` for an unknown type, `compare.twice`
 */
export function parseEntries(text: string): readonly MethodEntry[] {
  const entries = split(text, ',').map(parseEntry);
  const labels = entries.map(({ label }) => label);
  const twice = labels.find((label, at) => labels.indexOf(label) < at);
  if (twice !== undefined) {
    fail({
      code: 'compare.twice',
      message: l10n.t`${twice} is named twice`,
      mend: l10n.t`Name it once; settings of one method are told apart by their options, as in lora{r=4},lora{r=16}.`,
    });
  }
  return entries;
}

/** One entry for each method that there is, with its defaults. */
export function allEntries(): readonly MethodEntry[] {
  return METHODS.map(({ type }) => parseEntry(type));
}

function parseEntry(text: string): MethodEntry {
  const methods = split(text, '+').map((part) => parseMethod(part, text));
  const [only, ...others] = methods;
  const guided = others.length === 0 && METHODS.some((each) => each.type === only!.type && 'guides' in each);
  const all = guided ? [{ type: GUIDED }, ...methods] : methods;
  return { label: all.map(labelOf).join('+'), methods: all };
}

function parseMethod(text: string, entry: string): GivenMethod {
  const [, type = '', options] = /^([A-Za-z0-9_-]+)\s*(?:\{([^]*)\})?$/.exec(text) ?? [];
  if (type === '') fail(noEntry(entry));
  const known = METHODS.map((method): string => method.type);
  if (!known.includes(type)) {
    const near = nearestName(type, known);
    fail({
      code: 'compare.method',
      message: l10n.t`there is no method ${type}`,
      expected: l10n.t`one of ${known.join(', ')}`,
      ...(near === undefined ? {} : { mend: l10n.t`Did you mean ${near}?` }),
    });
  }
  const pairs = options === undefined || options.trim() === '' ? [] : split(options, ',');
  return { type, ...Object.fromEntries(pairs.map((pair) => parseOption(pair, entry))) };
}

function parseOption(text: string, entry: string): readonly [string, unknown] {
  const at = text.indexOf('=');
  const key = text.slice(0, Math.max(0, at)).trim();
  if (!/^\w+$/.test(key) || key === 'type') fail(noEntry(entry));
  const { root, problems } = readYaml(text.slice(at + 1), entry);
  const [problem] = problems;
  if (problem !== undefined || root === undefined) fail(problem ?? noEntry(entry));
  return [key, plainValue(root)];
}

/** `lora{r=4}` */
function labelOf({ type, ...options }: GivenMethod): string {
  const pairs = Object.entries(options).map(([key, value]) => {
    return `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
  });
  return `${type}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`}`;
}

/** The parts between separators that stand in no bracket and no quotes, without spaces around them. */
function split(text: string, separator: string): readonly string[] {
  const parts = [''];
  let depth = 0;
  let quote = '';
  for (const letter of text) {
    if (quote !== '') quote = letter === quote ? '' : quote;
    else if (letter === '"' || letter === "'") quote = letter;
    else if ('{[('.includes(letter)) depth += 1;
    else if ('}])'.includes(letter)) depth -= 1;
    if (letter === separator && depth === 0 && quote === '') parts.push('');
    else parts[parts.length - 1] += letter;
  }
  const trimmed = parts.map((part) => part.trim());
  if (depth !== 0 || quote !== '' || trimmed.includes('')) fail(noEntry(text));
  return trimmed;
}

function noEntry(text: string) {
  return {
    code: 'compare.entry',
    message: l10n.t`"${text}" does not name methods`,
    expected: l10n.t`types with commas between, options in braces, + between methods of one run: lora,lora{r=4},full+child_tuning`,
  };
}
