// Draws media/icon.png: `node media/drawIcon.mjs`. A frozen weight matrix in grey-blue, and beside it the two
// thin matrices of a low-rank adapter in orange.
import { writeFileSync } from 'node:fs';
import { crc32, deflateSync } from 'node:zlib';

const SIZE = 128;
/** Samples per pixel and axis, for smooth edges. */
const FINE = 4;

const BACKGROUND = [27, 35, 48];
const shapes = [
  ...cells(22, 46, 60, 60, 4, (row, column) => 0.62 + 0.38 * (((row * 7 + column * 5) % 4) / 3), [112, 137, 173]),
  ...cells(88, 46, 18, 60, 4, (row) => 0.75 + 0.25 * ((row % 2) + 0), [255, 158, 74]),
  ...cells(22, 22, 60, 18, 4, (_row, column) => 0.75 + 0.25 * (column % 2), [255, 158, 74]),
];

/** Squares of about 12 pixels that fill a box, each in its shade of a colour. */
function cells(left, top, width, height, gap, shade, colour) {
  const side = 11.5;
  const columns = Math.max(1, Math.round((width + gap) / (side + gap)));
  const rows = Math.max(1, Math.round((height + gap) / (side + gap)));
  const wide = (width - gap * (columns - 1)) / columns;
  const high = (height - gap * (rows - 1)) / rows;
  return Array.from({ length: rows * columns }, (_, index) => {
    const row = Math.floor(index / columns);
    const column = index % columns;
    return {
      left: left + column * (wide + gap),
      top: top + row * (high + gap),
      wide,
      high,
      radius: 2.5,
      colour: colour.map((part) => Math.min(255, part * shade(row, column))),
    };
  });
}

function inside(x, y, { left, top, wide, high, radius }) {
  const dx = Math.max(left + radius - x, x - (left + wide - radius), 0);
  const dy = Math.max(top + radius - y, y - (top + high - radius), 0);
  return dx * dx + dy * dy <= radius * radius;
}

const plate = { left: 2, top: 2, wide: SIZE - 4, high: SIZE - 4, radius: 24 };
const rows = [];
for (let y = 0; y < SIZE; y += 1) {
  const row = Buffer.alloc(1 + SIZE * 4);
  for (let x = 0; x < SIZE; x += 1) {
    const sum = [0, 0, 0];
    let covered = 0;
    for (let sample = 0; sample < FINE * FINE; sample += 1) {
      const sx = x + ((sample % FINE) + 0.5) / FINE;
      const sy = y + (Math.floor(sample / FINE) + 0.5) / FINE;
      if (!inside(sx, sy, plate)) continue;
      covered += 1;
      const colour = shapes.find((shape) => inside(sx, sy, shape))?.colour ?? BACKGROUND;
      colour.forEach((part, index) => (sum[index] += part));
    }
    const pixel =
      covered === 0 ? [0, 0, 0, 0] : [...sum.map((part) => part / covered), (255 * covered) / FINE ** 2];
    pixel.forEach((part, index) => (row[1 + x * 4 + index] = Math.round(part)));
  }
  rows.push(row);
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

const header = Buffer.alloc(13);
header.writeUInt32BE(SIZE, 0);
header.writeUInt32BE(SIZE, 4);
header.set([8, 6, 0, 0, 0], 8);
writeFileSync(
  new URL('icon.png', import.meta.url),
  Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(rows), { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]),
);
