import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { trainableOf } from '../../../src/language/trainable.js';
import { fixture } from '../../support/fixtures.js';
import { documentOf, problemAt, problemsOf, textAt, workspace } from './modelSupport.js';

const folder = workspace();
const BERT = fixture('encoders', 'tiny-bert');

before(async () => {
  await writeFile(
    path.join(folder, 'rows.jsonl'),
    '{"text":"sun","label":"joy"}\n{"text":"wet","label":"rain"}\n',
  );
  await writeFile(path.join(folder, 'texts.jsonl'), '{"text":"sun"}\n{"text":"wet"}\n');
});

function runText(rows: string, more = '', method = '{ type: lora }'): string {
  return `model: ${BERT}\n${more}data: { train: ${rows}, max_length: 40 }\nmethod: ${method}\n`;
}

test('rows with classes fit an encoder, which says what dropout it is without', async () => {
  const problems = await problemsOf(folder, runText('rows.jsonl'));
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['model.dropout'],
  );
  assert.deepEqual(
    (await problemsOf(folder, runText('texts.jsonl', 'task_type: MASKED_LM\n'))).map(({ code }) => code),
    ['model.dropout'],
  );
});

test('rows without classes, at the file; a task that the model cannot do, at the task', async () => {
  const text = runText('texts.jsonl');
  const found = await problemAt(folder, text, 'data.format-mismatch');
  assert.equal(found.at, 'texts.jsonl');
  const causal = runText('rows.jsonl', 'task_type: CAUSAL_LM\n');
  const problem = (await problemsOf(folder, causal)).find(({ code }) => code === 'model.task-type');
  assert.ok(problem !== undefined);
  assert.equal(textAt(causal, problem), 'CAUSAL_LM');
});

test('the head of a task is counted, and is no target', async () => {
  const counted = async (method: string): Promise<number> => {
    const found = await trainableOf(documentOf(folder, runText('rows.jsonl', '', method)));
    assert.ok(found !== undefined && 'trainable' in found);
    return found.trainable;
  };
  const pairs = 2 * 2 * (8 * 32 + 8 * 32);
  // The checkpoint has no pooler: it starts anew, as the classifier of two classes does.
  const head = 32 * 32 + 32 + 2 * 32 + 2;
  assert.equal(await counted('{ type: lora, target_modules: [query, value] }'), pairs + head);
  const wrong = runText('rows.jsonl', '', '{ type: lora, target_modules: [query, clasifier] }');
  assert.equal((await problemAt(folder, wrong, 'targets.no-match')).at, 'clasifier');
  // PEFT's own way to write it.
  assert.equal(
    await counted('{ type: lora, target_modules: [query, value], modules_to_save: [classifier] }'),
    pairs + head,
  );
  // Those that choose their numbers when the run starts.
  const half = (2 * 32 * 32) / 2;
  const pafi = '{ type: pafi, keep_ratio: 0.5, target_modules: [query] }';
  assert.equal(await counted(pafi), half + head);
  assert.equal(await counted(`[${pafi}, { type: child_tuning }]`), half + head);
  assert.equal(await counted(`[${pafi}, { type: lora, target_modules: [query, value] }]`), half + pairs + head);
  const every = 2 * (4 * 32 * 32 + 2 * 32 * 48);
  assert.equal(await counted('{ type: pafi, keep_ratio: 0.5, target_modules: all-linear }'), every / 2 + head);
});
