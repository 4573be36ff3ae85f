import assert from 'node:assert/strict';
import { test } from 'node:test';
import { random } from '../../../../src/common/random.js';
import { pictureFile } from '../../../../src/engines/compareMethods/comparisonPicture.js';
import { overlaps, placeLabels } from '../../../../src/engines/compareMethods/placeLabels.js';
import { svgText } from '../../../../src/engines/compareMethods/svgText.js';
import { METHODS } from '../../../../src/methods/registry.js';
import { comparedMethod, comparisonOf, refusedMethod } from './comparisons.js';

test('labels lie neither over each other nor over marks, and within the frame, however crowded it is', () => {
  const draw = random(1, 'labels');
  const frame = { x: 70, y: 44, width: 830, height: 456 };
  const items = Array.from({ length: 40 }, (_, at) => ({
    // A crowd in one corner.
    x: 100 + (at < 25 ? 120 : 780) * draw.uniform(),
    y: 60 + (at < 25 ? 60 : 420) * draw.uniform(),
    width: 40 + Math.floor(80 * draw.uniform()),
    height: 15,
  }));
  const boxes = placeLabels(items, frame, 5);
  const marks = items.map(({ x, y }) => ({ x: x - 5, y: y - 5, width: 10, height: 10 }));
  for (const [at, box] of boxes.entries()) {
    assert.ok(box, `label ${at} has a place`);
    assert.ok(box.x >= 70 && box.y >= 44 && box.x + box.width <= 900 && box.y + box.height <= 500);
    for (const mark of marks) assert.ok(!overlaps(box, mark));
    for (const other of boxes.slice(at + 1)) assert.ok(!overlaps(box, other!));
  }
});

test('the picture names every method that has a result, says what it shows, and follows the reader’s colours', () => {
  const methods = METHODS.map(({ type, family }, at) =>
    comparedMethod(type, 10 ** -(at % 5), [0.4 + at / 40, 0.5 + at / 40], { family }),
  );
  const text = pictureFile(comparisonOf([...methods, refusedMethod('none', 'no')]));
  assert.match(text, /^<svg [^>]*role="img"/);
  for (const id of /aria-labelledby="([^"]+)"/.exec(text)![1]!.split(' ')) {
    assert.match(text, new RegExp(`<(title|desc) id="${id}">[^<]{10,}<`), id);
  }
  const texts = textsIn(text);
  for (const { type } of METHODS) assert.ok(texts.includes(type), type);
  assert.ok(!texts.includes('none'));
  assert.ok(texts.includes('before training'));
  assert.match(text, /prefers-color-scheme: dark/);
  for (const family of ['additive', 'selective', 'low-rank', 'full']) assert.ok(texts.includes(family), family);
});

test('what ended worse than it began stands at the upper edge, with its loss', () => {
  const text = pictureFile(comparisonOf([comparedMethod('good', 0.1, [1]), comparedMethod('wild', 0.2, [80])]));
  assert.match(text, />wild ↑ 80\.00</);
  const ticks = textsIn(text)
    .filter((each) => /^\d[\d.]*$/.test(each))
    .map(Number);
  assert.ok(ticks.length > 2 && Math.max(...ticks) < 3, `the axis keeps to the others: ${ticks.join(' ')}`);
});

test('one method alone has ticks on both axes', () => {
  const texts = textsIn(pictureFile(comparisonOf([comparedMethod('lora', 0.078, [1])])));
  assert.ok(texts.filter((text) => / %$/.test(text)).length >= 2, texts.join(', '));
  assert.ok(texts.filter((text) => /^[\d.]+$/.test(text)).length >= 3, texts.join(', '));
});

test('without a result the picture says so', () => {
  const text = pictureFile(comparisonOf([comparedMethod('lora', 0.1, [])]));
  assert.match(text, /No run has ended yet\./);
  assert.ok(!/NaN|Infinity/.test(text));
});

test('text of SVG is escaped', () => {
  const attributes = { 'data-x': '"<&>' };
  assert.equal(
    svgText({ tag: 'text', attributes, children: ['a < b & "c"', { tag: 'tspan' }] }),
    '<text data-x="&quot;&lt;&amp;&gt;">a &lt; b &amp; &quot;c&quot;<tspan/></text>',
  );
});

function textsIn(svg: string): readonly string[] {
  return [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text = '']) => text);
}
