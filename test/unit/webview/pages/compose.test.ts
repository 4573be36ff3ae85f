import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ShownMixture } from '../../../../src/host/composeProtocol.js';
import { openWebPage } from '../../../support/webPage.mjs';
import { recordOf } from '../../engines/composition/records.js';

const FOUR = [
  [[0, 0], 2],
  [[0.5, 0], 1.9],
  [[0, 0.5], 2.1],
  [[0.5, -0.5], 1.5],
] as const;
const WANTED = { adapters: ['/w/a', '/w/b'], data: '/w/five-rows.jsonl', budget: 40 };

test('the page of a mixture: grows, stops, writes, and shows what is written', async (context) => {
  const page = await openWebPage('compose', {});
  context.after(page.close);
  const tell = (mixture: ShownMixture, writing = false): Promise<void> =>
    page.tell({ type: 'mixture', mixture, writing });
  const buttons = ['Try…', 'Write Adapter…', 'Open Playground', 'Reveal', 'Search Again', 'Stop', 'Save CSV…'];
  const seen = (): readonly string[] =>
    buttons.filter((_, at) => !page.hidden(`.title-row vscode-button:nth-of-type(${at + 1})`));
  const press = async (name: string): Promise<unknown> => {
    await page.click(`.title-row vscode-button:nth-of-type(${buttons.indexOf(name) + 1})`);
    return page.sent.at(-1);
  };

  await tell({ wanted: WANTED, state: { kind: 'running', activity: 'Loading' } });
  assert.deepEqual(seen(), ['Stop']);
  assert.ok(page.texts().includes('Searching for a mixture of 2 adapters…'));
  assert.ok(page.texts('.activity').includes('Loading'));
  const [one, many] = [FOUR.slice(0, 1), FOUR].map((trials) => recordOf(trials));
  const running = { kind: 'running', activity: '' } as const;
  await tell({ wanted: WANTED, search: one!, state: running });
  assert.deepEqual(page.sent.at(-1), { type: 'drawn', trials: 1 });
  await tell({ wanted: WANTED, search: many!, state: running });
  assert.ok(page.texts('.tiles').includes('4 of 40'));
  assert.equal(page.count('.heat-cell'), 80);
  assert.equal(page.count('.heat-cell[aria-selected=true]'), 2, 'the best trial');
  assert.ok(page.hidden('.remarks'), 'nothing is judged before the end');
  assert.deepEqual(await press('Stop'), { type: 'stop' });

  await tell({ wanted: WANTED, search: many!, state: { kind: 'stopped' } });
  assert.deepEqual(seen(), ['Write Adapter…', 'Search Again', 'Save CSV…']);
  assert.ok(page.texts('.remarks').includes('The search was stopped after 4 of 40 trials.'));
  assert.deepEqual(
    page.texts('.weight-bars tbody').filter((text) => /\d/.test(text)),
    ['/w/runs/imdb/1/adapter', '+0.500', '/w/runs/trec/1/adapter', '−0.500'],
  );
  assert.equal(page.count('.weight-bars .negative'), 1);
  assert.deepEqual(await press('Write Adapter…'), { type: 'write' });
  assert.deepEqual(await press('Search Again'), { type: 'again' });
  const saved = (await press('Save CSV…')) as { name: string; text: string };
  assert.equal(saved.name, 'five-rows-mixtures.csv');
  assert.match(saved.text, /^trial,loss,objective,/);

  await tell({ search: many!, state: { kind: 'ended' }, out: '/w/mixed' });
  assert.deepEqual(seen(), ['Try…', 'Open Playground', 'Reveal', 'Save CSV…']);
  assert.ok(page.texts().includes('The mixture is in /w/mixed.'));
  for (const [name, type] of [
    ['Try…', 'try'],
    ['Open Playground', 'playground'],
    ['Reveal', 'reveal'],
  ] as const) {
    assert.deepEqual(await press(name), { type });
  }
  // The base model is no mixture to write.
  await tell({ search: one!, state: { kind: 'ended' } });
  assert.deepEqual(seen(), ['Save CSV…']);
  await tell({ wanted: WANTED, state: { kind: 'failed', message: 'It cannot be read.' } });
  assert.ok(page.texts('[role=alert]').includes('It cannot be read.'));
  assert.deepEqual(seen(), ['Search Again']);
});
