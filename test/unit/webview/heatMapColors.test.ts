import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  colorOf,
  cssColor,
  heatShare,
  isLogarithmic,
  luminance,
  mixed,
  parseColor,
  readableOn,
  sidedShare,
  themeScale,
} from '../../../webview/heatMapColors.js';
import type { Rgb } from '../../../webview/heatMapColors.js';

test('colours are read in every form that a theme or a browser has them', () => {
  assert.deepEqual(parseColor('#3794ff'), [0x37, 0x94, 0xff]);
  assert.deepEqual(parseColor(' #fff '), [255, 255, 255]);
  assert.deepEqual(parseColor('rgb(1, 2, 3)'), [1, 2, 3]);
  assert.deepEqual(parseColor('rgba(255, 255, 255, 0.5)', [0, 0, 0]), [128, 128, 128]);
  assert.deepEqual(parseColor('#ffffff80', [0, 0, 0]), [128, 128, 128]);
  assert.deepEqual(parseColor('rgb(10 20 30 / 50%)', [0, 0, 0]), [5, 10, 15]);
  assert.deepEqual(parseColor('color(srgb 1 0.5 0)'), [255, 128, 0]);
  assert.deepEqual(parseColor('transparent', [9, 9, 9]), [9, 9, 9]);
  assert.equal(cssColor([1, 2, 3]), 'rgb(1, 2, 3)');
});

test('a theme’s scale goes one way in lightness, from near the background to near the foreground', () => {
  const themes: readonly (readonly [Rgb, Rgb, Rgb])[] = [
    [
      [31, 31, 31],
      [55, 148, 255],
      [204, 204, 204],
    ],
    [
      [255, 255, 255],
      [26, 133, 255],
      [59, 59, 59],
    ],
    [
      [0, 0, 0],
      [55, 148, 255],
      [255, 255, 255],
    ],
    [
      [255, 255, 255],
      [0, 95, 184],
      [41, 41, 41],
    ],
  ];
  for (const [background, accent, foreground] of themes) {
    const scale = themeScale(background, accent, foreground);
    const lights = Array.from({ length: 21 }, (_, at) => luminance(colorOf(scale, at / 20)));
    const up = luminance(foreground) > luminance(background);
    for (let at = 1; at < lights.length; at += 1) {
      assert.ok(
        up ? lights[at]! > lights[at - 1]! : lights[at]! < lights[at - 1]!,
        `${background.join()} at ${at}`,
      );
    }
    for (let at = 0; at <= 20; at += 1) {
      const color = colorOf(scale, at / 20);
      const [a, b] = [luminance(color), luminance(readableOn(color))];
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      assert.ok(contrast >= 4.5, `text at ${at} has contrast ${contrast}`);
    }
  }
});

test('shares beyond the ends have the colours of the ends', () => {
  const scale = [
    [0, 0, 0],
    [100, 100, 100],
  ] as const;
  assert.deepEqual(colorOf(scale, -1), [0, 0, 0]);
  assert.deepEqual(colorOf(scale, 2), [100, 100, 100]);
  assert.deepEqual(colorOf(scale, 0.5), mixed([0, 0, 0], [100, 100, 100], 0.5));
});

test('colours follow the number, or its logarithm where the largest is many times the smallest', () => {
  const near = { smallest: 2, largest: 12 };
  assert.equal(isLogarithmic(near), false);
  assert.deepEqual(
    [0, 3, 12].map((value) => heatShare(value, near)),
    [0, 0.25, 1],
  );
  const far = { smallest: 0.0001, largest: 1 };
  assert.equal(isLogarithmic(far), true);
  const shares = [0, 0.0001, 0.01, 1].map((value) => heatShare(value, far).toFixed(2));
  assert.deepEqual(shares, ['0.00', '0.12', '0.56', '1.00']);
  assert.equal(heatShare(5, { smallest: 0, largest: 0 }), 0);
});

test('numbers on both sides of a middle: the far end may lie below it', () => {
  const shares = (largest: number, middle: number, values: readonly number[]): readonly number[] =>
    values.map((value) => sidedShare(value, { smallest: 0, largest }, middle));
  assert.deepEqual(shares(2, 0, [-3, -2, 0, 1, 2]), [0, 0, 0.5, 0.75, 1]);
  assert.deepEqual(shares(0.25, 0.5, [0.75, 0.5, 0.25, 0]), [0, 0.5, 1, 1]);
  assert.deepEqual(shares(0, 0, [0]), [0.5]);
});
