import { parse, tokenize } from '@huggingface/jinja';
import * as l10n from '@vscode/l10n';
import { fail, messageOf } from '../common/problem.js';
import { TimeUp, withinTime } from '../common/watchdog.js';
import { evaluateTemplate } from './templateEvaluator.js';
import { MAX_ITEMS } from './templateGrowth.js';
import { TemplateStop } from './templateStop.js';
import type { ChatMessage } from './tokenizer.js';

/** The longest templates in use (tool calling) have some 20 kB. */
const MAX_SOURCE = 1024 * 1024;
/** What no counter sees (one filter on a value that is nested many times over) ends here. */
const MAX_MILLISECONDS = 1_500;

/** A template that was parsed; renders messages as `transformers`' `apply_chat_template` does. */
export interface ChatTemplate {
  render(
    messages: readonly ChatMessage[],
    options: { addGenerationPrompt: boolean; specialTokens: Readonly<Record<string, string>> },
  ): string;
}

/**
 * Parses a Jinja chat template. Templates come with downloaded models: they run in an interpreter that reaches
 * nothing outside the messages, with limits on steps, sizes and time. `file` names its source in errors.
 * Errors: `template.syntax`, `template.too-long`; from `render`: `template.raised` (the template's own
 * `raise_exception`), `template.limit`, `template.failed`.
 */
export function parseChatTemplate(
  source: string,
  file: string,
  { maxMilliseconds = MAX_MILLISECONDS }: { maxMilliseconds?: number } = {},
): ChatTemplate {
  const context = { file, maxMilliseconds };
  const where = { file };
  if (source.length > MAX_SOURCE) {
    fail({
      code: 'template.too-long',
      message: l10n.t`the chat template has ${source.length} characters`,
      where,
      expected: l10n.t`at most ${MAX_SOURCE}`,
    });
  }
  const program: unknown = guarded<unknown>(context, 'template.syntax', () =>
    parse(tokenize(plainTags(source), TRIMMED)),
  );
  return {
    render: (messages, { addGenerationPrompt, specialTokens }) =>
      guarded(context, 'template.failed', () => {
        const variables = { ...GLOBALS, ...specialTokens, messages, add_generation_prompt: addGenerationPrompt };
        return evaluateTemplate(program, variables);
      }),
  };
}

interface Context {
  readonly file: string;
  readonly maxMilliseconds: number;
}

/** As in transformers' environment. */
const TRIMMED = { lstrip_blocks: true, trim_blocks: true };

/** `{% generation %}` only marks the assistant's part for transformers' token masks: the text is unchanged. */
function plainTags(source: string): string {
  return source
    .replace(/(\{%[-+]?\s*)generation(\s*[-+]?%\})/g, '$1if true$2')
    .replace(/(\{%[-+]?\s*)endgeneration(\s*[-+]?%\})/g, '$1endif$2');
}

/** What a template finds besides the messages: transformers' globals. */
const GLOBALS = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  tools: null,
  documents: null,
  range: limitedRange,
  raise_exception: (message: unknown): never => {
    throw new TemplateStop('template.raised', String(message));
  },
  strftime_now: (format: unknown): string => strftime(new Date(), String(format)),
};

function limitedRange(first: unknown, second?: unknown, third: unknown = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (![start, stop, third].every(Number.isInteger) || third === 0) {
    throw new Error('range() takes whole numbers, and a step that is not 0');
  }
  const step = Number(third);
  const length = Math.max(0, Math.ceil((Number(stop) - Number(start)) / step));
  if (length > MAX_ITEMS) {
    throw new TemplateStop(
      'template.limit',
      l10n.t`it asks for range(${length}), of more than ${MAX_ITEMS} items`,
    );
  }
  return Array.from({ length }, (_, i) => Number(start) + i * step);
}

/** Python's strftime with the C locale, for the directives that templates use. */
export function strftime(date: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = DAYS[date.getDay()]!;
  const month = MONTHS[date.getMonth()]!;
  const directives: Readonly<Record<string, string>> = {
    Y: String(date.getFullYear()),
    y: two(date.getFullYear() % 100),
    m: two(date.getMonth() + 1),
    d: two(date.getDate()),
    e: String(date.getDate()).padStart(2, ' '),
    H: two(date.getHours()),
    I: two(date.getHours() % 12 || 12),
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    p: date.getHours() < 12 ? 'AM' : 'PM',
    A: day,
    a: day.slice(0, 3),
    B: month,
    b: month.slice(0, 3),
    '%': '%',
  };
  return format.replace(/%(.)/gs, (directive, letter: string) => directives[letter] ?? directive);
}

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July'],
  ...['August', 'September', 'October', 'November', 'December'],
];

/** Runs `work` under a clock and turns what it throws into a problem. */
function guarded<T>(context: Context, code: string, work: () => T): T {
  try {
    return withinTime(context.maxMilliseconds, work);
  } catch (error) {
    return refuse(context, code, error);
  }
}

function refuse({ file }: Context, code: string, error: unknown): never {
  const where = { file };
  const message = messageOf(error);
  if (error instanceof TemplateStop && error.code === 'template.raised') {
    fail({
      code: error.code,
      message: l10n.t`the chat template refuses these messages: ${message}`,
      where,
      mend: l10n.t`Bring the messages into the order and the roles that the model was trained on.`,
    });
  }
  if (error instanceof TemplateStop || error instanceof RangeError || error instanceof TimeUp) {
    fail({
      code: 'template.limit',
      message: l10n.t`the chat template was stopped: ${message}`,
      where,
      mend: l10n.t`Use the template of the original model: this one loops or grows without end.`,
    });
  }
  fail(
    {
      code,
      message:
        code === 'template.syntax'
          ? l10n.t`the chat template cannot be parsed: ${message}`
          : l10n.t`the chat template failed: ${message}`,
      where,
      mend: l10n.t`Compare it with the template of the original model.`,
    },
    error,
  );
}
