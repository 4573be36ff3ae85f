import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from '../../../../src/engines/playground/protocol.js';
import { loading, setupOf, withAdapter } from '../../../../src/engines/playground/setup.js';
import type { PlaygroundSetup } from '../../../../src/engines/playground/setup.js';
import { GENERATE_DEFAULTS } from '../../../../src/generation/options.js';
import type { ToPlayground } from '../../../../src/host/playgroundProtocol.js';
import { englishLeft } from '../../../support/englishLeft.js';
import { chineseTexts, openWebPage } from '../../../support/webPage.mjs';

/** Names of sampling options, in Transformers' words, and letters of the text that is asked. */
const OPTIONS = ['temperature', 'seed'];

const answer = (tokens: number, reason: Answer['reason']): Answer => ({
  text: '一二',
  rest: '…',
  reason,
  promptTokens: 3,
  tokens,
  firstToken: 0.2,
  afterFirst: 1.5,
});

test('the playground has no English word in Chinese', async (context) => {
  const page = await openWebPage('playground', chineseTexts());
  context.after(page.close);
  const seen = [...page.texts()];
  const tell = async (message: ToPlayground): Promise<void> => {
    await page.tell(message);
    seen.push(...page.texts());
  };
  const show = (setup: PlaygroundSetup): Promise<void> =>
    tell({ type: 'setup', setup, defaults: GENERATE_DEFAULTS });
  const base = setupOf({ model: '/模型/基座', label: '基座', key: 'x' });
  const two = withAdapter(base, { folder: '/适配器/甲', name: '甲' }) ?? base;
  await show(base);
  const steering = { model: '/模型/小', alpha: 0.5 };
  await show(withAdapter(two, { folder: '/适配器/乙', name: '乙', steering }) ?? two);
  await show(loading(two, ['base']));
  await show({ ...two, chat: false, columns: two.columns.map((each) => ({ ...each, state: 'ready' })) });
  await tell({ type: 'ask', prompt: '问', options: {} });
  const column = two.columns[1]?.id ?? '';
  const tokens = [
    { id: 1, text: '一', own: -1 },
    { id: 2, text: '', own: -1 },
    { id: 3, text: '', own: -2, end: true as const },
  ];
  await tell({
    type: 'answers',
    events: [
      ...tokens.map((token) => ({ type: 'token' as const, request: 1, column, token })),
      { type: 'scored', request: 1, column, from: 0, base: [-3, -1, -1.5] },
    ],
  });
  await page.open('details');
  for (const at of [0, 1, 2]) {
    await page.focus(`[data-at="${at}"]`);
    seen.push(...page.texts());
  }
  await tell({
    type: 'answers',
    events: [
      { type: 'answered', request: 1, column, answer: answer(3, 'eos') },
      { type: 'refused', request: 1, column: 'base', problem: { code: 'x', message: '出错', expected: '正确' } },
      { type: 'done', request: 1 },
    ],
  });
  assert.ok(seen.some((text) => text.includes('对数差')));
  assert.ok(seen.some((text) => text.includes('由 乙 引导（α = 0.5）')));
  assert.deepEqual(englishLeft(seen, OPTIONS), []);
});
