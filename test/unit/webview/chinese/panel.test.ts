import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PANEL_VERSION } from '../../../../src/engines/panelVersion.js';
import type { RunState } from '../../../../src/engines/runState.js';
import type { RunEvent } from '../../../../src/training/events.js';
import { englishLeft } from '../../../support/englishLeft.js';
import { chineseTexts, openWebPage } from '../../../support/webPage.mjs';

const GROUND = { file: '/运行/甲.peft.yaml', began: Date.parse('2026-01-01T00:00:00Z') };
const SITES = [0, 1].map((layer) => `model.layers.${layer}.self_attn.q_proj`);

/** A run that says everything a run can say; texts that are made elsewhere are Chinese. */
const EVENTS: readonly RunEvent[] = [
  {
    type: 'started',
    time: '2026-01-01T00:00:00Z',
    version: '0',
    engine: 'embedded',
    config: GROUND.file,
    folder: '/运行/甲',
    model: '/模型/基座',
    method: 'adalora',
    totalSteps: 20,
    seed: 1,
    resumedFrom: 1,
  },
  {
    type: 'coverage',
    layers: 2,
    layersCovered: 2,
    trainable: 100,
    total: 1000,
    saves: '全部适配器。',
    targets: [
      { entry: 'q_proj', matched: 2 },
      { entry: 'k_proj', matched: 0 },
    ],
    modules: [...SITES, 'model.embed_tokens'].map((path) => ({ path, shape: [4, 4], trainable: 50 })),
    shared: [{ name: 'model.layers.*.q_proj', paths: SITES }],
    warnings: [
      {
        code: 'x',
        message: '某处不匹配',
        expected: '匹配',
        mend: '请检查。',
        where: { file: '/运行/甲', line: 3 },
      },
    ],
  },
  ...(['train', 'validation'] as const).map((split): RunEvent => ({
    type: 'data',
    split,
    report: {
      format: 'text',
      files: ['/数据/甲.jsonl'],
      rows: 10,
      kept: 8,
      broken: [{ file: '/数据/甲.jsonl', line: 4, reason: '不是一行' }],
      brokenCount: 2,
      truncated: 1,
      unsupervised: 1,
      tokens: 100,
      supervisedTokens: 60,
    },
  })),
  ...(['train', 'validation'] as const).map((split): RunEvent => ({
    type: 'sample',
    split,
    line: 2,
    spans: [{ text: '一', supervised: true }],
  })),
  {
    type: 'plan',
    batch: { rows: 4, length: 30, supervised: 60 },
    plan: {
      total: 1000,
      parts: (['weights', 'runtime', 'adapter', 'optimizer', 'state', 'activations', 'logits'] as const).map(
        (name) => ({ name, bytes: 100, formula: '公式' }),
      ),
      peak: 'step',
      moments: [],
      parameters: 1000,
      trainable: 100,
      adapterFileBytes: 100,
      assumptions: ['假设。'],
    },
  },
  ...[2, 3, 4].flatMap((step): RunEvent[] => [
    {
      type: 'step',
      step,
      epoch: 0,
      loss: 3 / step,
      terms: { orthogonality: 0.1 },
      learningRate: 1e-3,
      gradientNorm: 1,
      tokens: 100,
      supervisedTokens: 60,
      rows: 4,
      seconds: 1,
    },
    {
      type: 'ranks',
      step,
      sites: [...SITES, 'lm_head'].map((path) => ({ path, rank: 4, scale: 2, norm: 0.5 })),
      budget: 10,
      target: 6,
    },
    {
      type: 'rank-evaluation',
      step,
      ranks: [1, 4].map((rank) => ({ rank, loss: 1 / rank, tokenAccuracy: 0.5, rowAccuracy: 0.1 })),
    },
    { type: 'masks', step, sites: SITES.map((path) => ({ path, density: 0.1, shape: [4, 4], norm: 0.1 })) },
    {
      type: 'attention',
      step,
      sites: SITES.map((path) => ({ path, adapter: '甲', task: '乙', share: 0.5 })),
    },
    {
      type: 'memory',
      step,
      resident: 900,
      fileBacked: 300,
      anonymous: 600,
      peakResident: 950,
      parts: {
        mappedWeights: 300,
        program: 100,
        node: 100,
        trainables: 100,
        optimizer: 100,
        state: 50,
        graph: 150,
      },
    },
    ...(['train', 'validation'] as const).map((split): RunEvent => ({
      type: 'evaluation',
      step,
      split,
      loss: 1,
      tokenAccuracy: 0.5,
      rowAccuracy: 0.25,
      rows: 4,
      supervisedTokens: 9,
      seconds: 1,
    })),
    {
      type: 'generations',
      step,
      rows: [true, false].map((matches, line) => ({
        line,
        prompt: '问',
        reference: '答',
        answer: matches ? '答' : '',
        matches,
        cut: !matches,
      })),
    },
  ]),
  { type: 'checkpoint', step: 4, folder: '/运行/甲/checkpoint-4' },
  { type: 'paused', step: 4, time: '2026-01-01T00:00:09Z' },
  { type: 'continued', step: 4, seconds: 3 },
  { type: 'log', level: 'warning', message: '某个警告' },
  { type: 'progress', activity: '正在写入', done: 1, total: 2 },
];

const FINISHED = {
  type: 'finished',
  reason: 'completed',
  adapter: '/运行/甲/adapter',
  metrics: { initial_eval_loss: 2, train_loss: 1, eval_loss: 1, eval_token_accuracy: 0.5, eval_row_accuracy: 0.2 },
  steps: 4,
  seconds: 100,
  peakMemory: 1000,
} as const;

const STATES: readonly RunState[] = [
  { kind: 'idle' },
  ...(['starting', 'running', 'pausing', 'paused', 'stopping'] as const).map((kind) => ({ kind, ...GROUND })),
  ...(['completed', 'early-stopped', 'stopped'] as const).map((reason) => ({
    kind: 'finished' as const,
    ended: GROUND.began + 1e5,
    result: { ...FINISHED, reason },
    ...GROUND,
  })),
  {
    kind: 'failed',
    ended: GROUND.began + 1e5,
    problem: { code: 'x', message: '某处出错', expected: '正确', mend: '请重试。', where: { file: '/运行/甲' } },
    others: [],
    ...GROUND,
  },
];

test('the panel of a run has no English word in Chinese, whatever its state and tab', async (context) => {
  const page = await openWebPage('panel', chineseTexts());
  context.after(page.close);
  const seen: string[] = [];
  const tell = async (state: RunState, canControl: boolean): Promise<void> => {
    const about = { state, folder: '/运行/甲', canControl };
    await page.tell({ version: PANEL_VERSION, type: 'run', about, events: { events: EVENTS } });
    seen.push(...page.texts());
  };
  seen.push(...page.texts());
  for (const state of STATES) await tell(state, state.kind !== 'running');
  for (const id of ['ranks', 'masks', 'coverage', 'data', 'answers', 'memory', 'log']) {
    await page.click(`#tab-${id}`);
    seen.push(...page.texts());
  }
  await page.tell({ version: -1 });
  seen.push(...page.texts());
  const errors = page.sent.filter(
    (message) =>
      typeof message === 'object' && message !== null && 'type' in message && message.type === 'pageError',
  );
  assert.deepEqual(errors, []);
  assert.ok(seen.some((text) => text.includes('训练损失')));
  assert.deepEqual(englishLeft(seen, ['orthogonality', 'text']), []);
});
