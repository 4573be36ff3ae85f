import * as l10n from '@vscode/l10n';
import type { Curve, Picture } from './curvePictures.js';
import type { CurveColors } from './curveColors.js';

const MARGIN = 12;
const LINE = 18;

/** A picture with its title and legend as a PNG, on the theme's background, at the screen's resolution. */
export function pictureBlob(
  plot: HTMLCanvasElement,
  { title, about }: Picture,
  curves: readonly Curve[],
  colors: CurveColors,
): Promise<Blob> {
  const scale = plot.width / Math.max(1, plot.clientWidth);
  const width = plot.clientWidth + 2 * MARGIN;
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  if (!context) return Promise.reject(new Error(l10n.t`this page cannot draw pictures`));
  const font = `12px ${colors.plot().font}`;
  context.font = font;
  const rows = legendRows(curves, width - 2 * MARGIN, (text) => context.measureText(text).width);
  const top = MARGIN + LINE * (1 + rows.length) + 4;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round((top + plot.clientHeight + MARGIN) * scale);
  // A canvas forgets its state when its size changes.
  context.scale(scale, scale);
  context.font = font;
  context.textBaseline = 'middle';
  context.fillStyle = colors.of('curve-background');
  context.fillRect(0, 0, width, canvas.height / scale);
  context.fillStyle = colors.of('curve-foreground');
  context.fillText(l10n.t`${title}: ${about}`, MARGIN, MARGIN + LINE / 2);
  rows.forEach((row, at) => {
    const y = MARGIN + LINE * (at + 1.5);
    for (const { curve, left } of row) {
      context.globalAlpha = curve.look === 'faint' ? 0.45 : 1;
      context.strokeStyle = colors.of(curve.color);
      context.lineWidth = 2;
      context.setLineDash(curve.look === 'dashed' ? [6, 3] : []);
      context.beginPath();
      context.moveTo(MARGIN + left, y);
      context.lineTo(MARGIN + left + SWATCH, y);
      context.stroke();
      context.globalAlpha = 1;
      context.fillText(curve.name, MARGIN + left + SWATCH + 6, y);
    }
  });
  context.drawImage(plot, MARGIN, top, plot.clientWidth, plot.clientHeight);
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error(l10n.t`the picture could not be made`))),
      'image/png',
    );
  });
}

const SWATCH = 16;

/** Puts the names of curves into rows that fit. */
function legendRows(
  curves: readonly Curve[],
  width: number,
  measure: (text: string) => number,
): { readonly curve: Curve; readonly left: number }[][] {
  const rows: { readonly curve: Curve; readonly left: number }[][] = [[]];
  let left = 0;
  for (const curve of curves) {
    const needed = SWATCH + 6 + measure(curve.name) + 16;
    if (left > 0 && left + needed > width) {
      rows.push([]);
      left = 0;
    }
    rows.at(-1)?.push({ curve, left });
    left += needed;
  }
  return rows;
}

/** A blob's bytes as base64, for a message to the editor. */
export async function base64Of(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let binary = '';
  // In pieces: a call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(binary);
}
