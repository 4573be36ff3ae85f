import { parseColor, signedScale, themeScale } from './heatMapColors.js';
import type { Rgb, Scale } from './heatMapColors.js';

/** The theme's colours, as a canvas needs them. */
export interface HeatTheme {
  readonly background: Rgb;
  readonly foreground: Rgb;
  readonly muted: Rgb;
  /** Around cells in high contrast; elsewhere none is drawn. */
  readonly border: Rgb | undefined;
  /** Marks one place in a picture. */
  readonly mark: Rgb;
  readonly scale: Scale;
  /** For numbers of both signs. */
  readonly signed: Scale;
  /** A CSS font family. */
  readonly font: string;
  /** Of the page's text, in CSS pixels. */
  readonly fontSize: number;
}

/** The present theme's colours. */
export function readHeatTheme(): HeatTheme {
  const style = getComputedStyle(document.body);
  const color = (name: string, below: Rgb): Rgb => parseColor(style.getPropertyValue(`--vscode-${name}`), below);
  const background = color('editor-background', [0, 0, 0]);
  const foreground = parseColor(style.color, [128, 128, 128]);
  const accent = color('charts-blue', foreground);
  const negative = color('charts-red', foreground);
  const isContrast = /\bvscode-high-contrast/.test(document.body.className);
  return {
    background,
    foreground,
    muted: color('descriptionForeground', foreground),
    border: isContrast ? color('contrastBorder', foreground) : undefined,
    mark: negative,
    scale: themeScale(background, accent, foreground),
    signed: signedScale(background, negative, accent, foreground),
    font: style.fontFamily,
    fontSize: parseFloat(style.fontSize) || 13,
  };
}

/** Calls back when the theme has changed: the editor says it by the body's classes and the document's variables. */
export function onThemeChange(call: () => void): void {
  const observer = new MutationObserver(call);
  observer.observe(document.body, { attributes: true, attributeFilter: ['class'] });
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['style', 'class'] });
}

/** A canvas of a size in CSS pixels, sharp on this screen; what was drawn on it is gone. */
export function sized(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
): CanvasRenderingContext2D | undefined {
  const ratio = window.devicePixelRatio;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext('2d') ?? undefined;
  context?.scale(canvas.width / Math.max(1, width), canvas.height / Math.max(1, height));
  return context;
}
