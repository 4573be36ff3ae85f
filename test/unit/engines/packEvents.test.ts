import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packEvents, unpackEvents } from '../../../src/engines/packEvents.js';
import type { RunEvent, Step } from '../../../src/training/events.js';

const step = (number: number, terms?: Step['terms']): Step => ({
  type: 'step',
  step: number,
  epoch: number / 7,
  loss: 1 / number,
  ...(terms ? { terms } : {}),
  learningRate: 1e-3 / number,
  gradientNorm: number * Math.PI,
  tokens: number + 1,
  supervisedTokens: number + 2,
  rows: number + 3,
  seconds: number / 3,
});
const said = (message: string): RunEvent => ({ type: 'log', level: 'info', message });

/** As a page gets it: typed arrays are copied, everything else is text for a while. */
function travelled(events: readonly RunEvent[]): readonly RunEvent[] {
  return unpackEvents(structuredClone(packEvents(events)));
}

test('many steps among other events come back as they were, in their order', () => {
  const events: RunEvent[] = [said('first')];
  for (let number = 1; number <= 2000; number++) {
    // Terms come, go, and come under other names.
    const terms: Step['terms'] =
      number % 3 === 0 ? { orthogonality: number } : number % 7 === 0 ? { other: -number } : undefined;
    events.push(step(number, terms));
    if (number % 100 === 0) events.push(said(`after ${number}`), said('and more'));
  }
  assert.ok(packEvents(events).steps !== undefined);
  assert.deepEqual(travelled(events), events);
  const steps = events.filter(({ type }) => type === 'step');
  assert.deepEqual(travelled(steps), steps, 'nothing but steps');
});

test('few steps are sent as they are', () => {
  const events = [said('a'), step(1), step(2)];
  assert.equal(packEvents(events).steps, undefined);
  assert.deepEqual(travelled(events), events);
  assert.deepEqual(travelled([]), []);
});
