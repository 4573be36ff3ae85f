import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Content } from '../../../src/data/content.js';
import { tokenizeRow } from '../../../src/data/tokenize.js';
import type { TokenizeOptions, Tokenized } from '../../../src/data/tokenize.js';
import type { Tokenizer } from '../../../src/models/tokenizer.js';
import { chatMl, fakeTokenizer, supervisedText } from './fakeTokenizer.js';

type Kept = Extract<Tokenized, { status: 'kept' }>;

const row = (content: Content, tokenizer: Tokenizer, options: Partial<TokenizeOptions> = {}): Tokenized =>
  tokenizeRow(content, tokenizer, { maxLength: 1000, trainOnPrompt: false, ...options });

function kept(...given: Parameters<typeof row>): Kept {
  const result = row(...given);
  assert.equal(result.status, 'kept');
  return result as Kept;
}

const qa: Content = { kind: 'completion', prompt: 'Q:', completion: 'yes' };

test('only the completion and its end are supervised, exactly from the boundary', () => {
  const result = kept(qa, fakeTokenizer());
  assert.equal(supervisedText(result), '..yes</s>');
  assert.equal(fakeTokenizer().decode(result.ids), 'Q:yes</s>');
  assert.equal(supervisedText(kept(qa, fakeTokenizer({ bos: '<s>' }))), '...yes</s>');
});

test('train_on_prompt supervises all but the first token, which nothing predicts', () => {
  assert.equal(supervisedText(kept(qa, fakeTokenizer(), { trainOnPrompt: true })), '.:yes</s>');
  assert.equal(supervisedText(kept(qa, fakeTokenizer({ bos: '<s>' }), { trainOnPrompt: true })), '.Q:yes</s>');
});

test('case 66: the end stays supervised when padding and end are the same token, also inside the prompt', () => {
  const eos = '<|endoftext|>';
  const base = fakeTokenizer({ eos });
  const tokenizer: Tokenizer = { ...base, padTokenId: base.eosTokenId };
  const result = kept({ kind: 'completion', prompt: `A${eos}B`, completion: 'c' }, tokenizer);
  assert.equal(supervisedText(result), `...c${eos}`);
  assert.equal(result.endless, false);
});

test('an end that the text already writes is not doubled', () => {
  const tokenizer = fakeTokenizer({ eos: '<|endoftext|>' });
  for (const completion of ['yes<|endoftext|>', 'yes<|endoftext|>\n', 'yes']) {
    const result = kept({ ...qa, completion }, tokenizer);
    assert.equal(supervisedText(result), '..yes<|endoftext|>');
    assert.equal(result.foreignEnd, undefined);
  }
  assert.equal(supervisedText(kept({ kind: 'text', text: 'ab<|endoftext|>' }, tokenizer)), '.b<|endoftext|>');
});

test("another model's end is replaced and named; markup is left alone", () => {
  const result = kept({ ...qa, completion: 'yes<|endoftext|>' }, fakeTokenizer({ eos: '<|im_end|>' }));
  assert.equal(supervisedText(result), '..yes<|im_end|>');
  assert.equal(result.foreignEnd, '<|endoftext|>');
  const markup = kept({ ...qa, completion: '<s>old</s>' }, fakeTokenizer({ eos: '<|im_end|>' }));
  assert.equal(supervisedText(markup), '..<s>old</s><|im_end|>');
});

test("plain text keeps another model's markers, also at its end", () => {
  const text = '<|im_start|>user\nhi<|im_end|>';
  const result = kept({ kind: 'text', text }, fakeTokenizer());
  assert.equal(fakeTokenizer().decode(result.ids), `${text}</s>`);
  assert.equal(result.foreignEnd, undefined);
});

test('without an end-of-text token none is added, and the row is known to be endless', () => {
  const result = kept(qa, fakeTokenizer({ eos: '' }));
  assert.equal(supervisedText(result), '..yes');
  assert.equal(result.endless, true);
});

test('special tokens come in front once, and never between prompt and completion', () => {
  const bert = fakeTokenizer({ bos: '<s>', suffix: '</s>' });
  assert.equal(bert.decode(kept(qa, bert).ids), '<s>Q:yes</s>');
  assert.equal(bert.decode(kept({ ...qa, prompt: '' }, bert).ids), '<s>yes</s>');
  assert.equal(bert.decode(kept({ ...qa, prompt: '<s>Q:' }, bert).ids), '<s>Q:yes</s>');
  assert.equal(bert.decode(kept({ kind: 'text', text: 'ab' }, bert).ids), '<s>ab</s>');
});

test('case 67: rows are cut at the end; rows cut to nothing supervised are told apart', () => {
  const cut = kept(qa, fakeTokenizer(), { maxLength: 4 });
  assert.equal(supervisedText(cut), '..ye');
  assert.equal(cut.truncated, true);
  assert.equal(cut.endless, false);
  assert.equal(kept(qa, fakeTokenizer(), { maxLength: 6 }).truncated, false);
  assert.deepEqual(row(qa, fakeTokenizer(), { maxLength: 2 }), { status: 'unsupervised', truncated: true });
  // Supervised at index 0 only: nothing predicts it.
  const first: Content = { kind: 'completion', prompt: '', completion: 'yes' };
  assert.deepEqual(row(first, fakeTokenizer(), { maxLength: 1 }), { status: 'unsupervised', truncated: true });
});

const conversation: Content = {
  kind: 'chat',
  messages: [
    { role: 'user', content: 'hi' },
    { role: 'assistant', content: 'yo' },
    { role: 'user', content: 'bye' },
    { role: 'assistant', content: 'ok' },
  ],
};

test('case 68: of a conversation only the assistant turns are supervised, ends included', () => {
  const tokenizer = fakeTokenizer({ eos: '<|im_end|>', bos: '<s>', template: chatMl });
  const result = kept(conversation, tokenizer);
  assert.equal(supervisedText(result).replace(/\.+/g, '…'), '…yo<|im_end|>\n…ok<|im_end|>\n');
  // The template writes the special tokens: no beginning-of-text is added to what it renders.
  assert.equal(tokenizer.decode(result.ids), chatMl(conversation.messages, false));
  const all = kept(conversation, tokenizer, { trainOnPrompt: true });
  assert.equal(all.supervised.filter((bit) => bit === 0).length, 1);
});

test('a template that rewrites earlier turns is refused with the mend', () => {
  const rewriting = fakeTokenizer({
    template: (messages, prompt) => `${messages.length} messages\n${chatMl(messages, prompt)}`,
  });
  const result = row(conversation, rewriting);
  assert.ok(result.status === 'broken');
  assert.match(result.reason, /message 2 otherwise once more follows.*train_on_prompt/);
  // Text that is a prefix, ids that are not: the answer's first letter joins the template's last token.
  const plain = fakeTokenizer({ template: chatMl });
  const merging: Tokenizer = {
    ...plain,
    encode: (text) => [...text.replaceAll('\ny', '¥')].map((letter) => letter.codePointAt(0)!),
  };
  const merged = row(conversation, merging);
  assert.ok(merged.status === 'broken');
  assert.match(merged.reason, /message 2 shares a token/);
});

test('a template without an end is noticed; a failing template breaks the row only', () => {
  const endless = fakeTokenizer({ template: (messages) => messages.map(({ content }) => content).join('|') });
  assert.equal(kept(conversation, endless).endless, true);
  const failed = row(conversation, fakeTokenizer());
  assert.deepEqual(failed, { status: 'broken', reason: 'No template.' });
  const silent = row(
    { kind: 'chat', messages: [{ role: 'user', content: 'a' }] },
    fakeTokenizer({ template: chatMl }),
  );
  assert.ok(silent.status === 'broken');
  assert.match(silent.reason, /no assistant turn/);
});
