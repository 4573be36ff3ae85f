/** Red, green and blue, 0 to 255. */
export type Rgb = readonly [number, number, number];

/** Colours from the lowest to the highest number, at equal distances. */
export type Scale = readonly [Rgb, Rgb, ...Rgb[]];

/**
 * A colour as a browser computes it: `#rgb`, `#rrggbb`, `rgb(…)`, `rgba(…)`, `color(srgb …)`. One that is part
 * transparent is taken over `below`; anything else is `below`.
 */
export function parseColor(text: string, below: Rgb = [0, 0, 0]): Rgb {
  const hex = /^#([0-9a-f]{3,8})$/i.exec(text.trim())?.[1];
  if (hex !== undefined) {
    const parts = hex.length < 6 ? [...hex].map((digit) => digit + digit) : (hex.match(/../g) ?? []);
    const [red = 0, green = 0, blue = 0, alpha = 255] = parts.map((part) => parseInt(part, 16));
    return mixed(below, [red, green, blue], alpha / 255);
  }
  const [, name, inside] = /^(rgba?|color)\(([^)]*)\)$/.exec(text.trim()) ?? [];
  const numbers = inside?.match(/[\d.]+%?/g)?.map((part) => parseFloat(part) / (part.endsWith('%') ? 100 : 1));
  const [red, green, blue, alpha = 1] = numbers ?? [];
  if (red === undefined || green === undefined || blue === undefined) return below;
  const unit = name === 'color' ? 255 : 1;
  return mixed(below, [red * unit, green * unit, blue * unit], alpha);
}

/** A colour between two: `share` 0 is the first, 1 the second. */
export function mixed(from: Rgb, to: Rgb, share: number): Rgb {
  const at = (channel: 0 | 1 | 2): number => Math.round(from[channel] + (to[channel] - from[channel]) * share);
  return [at(0), at(1), at(2)];
}

/**
 * A sequential scale of a theme: from near its background over an accent to near its foreground, so that more is
 * further from the background in light and dark alike, also for eyes that tell no colours apart.
 */
export function themeScale(background: Rgb, accent: Rgb, foreground: Rgb): Scale {
  return [mixed(background, foreground, 0.07), mixed(background, accent, 0.85), mixed(accent, foreground, 0.8)];
}

/**
 * A scale for numbers of both signs: from one colour over near the background to the other, each ending alike far from
 * the background.
 */
export function signedScale(background: Rgb, negative: Rgb, positive: Rgb, foreground: Rgb): Scale {
  const far = (color: Rgb): Rgb => mixed(color, foreground, 0.25);
  return [
    far(negative),
    mixed(background, negative, 0.6),
    mixed(background, foreground, 0.07),
    mixed(background, positive, 0.6),
    far(positive),
  ];
}

/** Numbers that are coloured: 0 and what lies between the smallest above it and the largest. */
export interface HeatRange {
  readonly smallest: number;
  readonly largest: number;
}

/** From so many times the smallest on, colours follow the logarithm: otherwise all but the largest would look alike. */
const LOGARITHMIC_FROM = 50;
/** How far the smallest number above 0 is from 0 on the logarithmic scale. */
const SMALLEST_SHARE = 0.12;

export function isLogarithmic({ smallest, largest }: HeatRange): boolean {
  return smallest > 0 && largest / smallest >= LOGARITHMIC_FROM;
}

/** Where a number stands on the colour scale, from 0 to 1. */
export function heatShare(value: number, range: HeatRange): number {
  const { smallest, largest } = range;
  if (value <= 0 || largest <= 0) return 0;
  if (!isLogarithmic(range)) return Math.min(1, value / largest);
  const share = Math.log(value / smallest) / Math.log(largest / smallest);
  return SMALLEST_SHARE + (1 - SMALLEST_SHARE) * Math.max(0, Math.min(1, share));
}

/** Where a number on either side of another, the middle, stands on a colour scale, from 0 to 1: `largest` at its end. */
export function sidedShare(value: number, { largest }: HeatRange, middle: number): number {
  const reach = largest - middle;
  return reach === 0 ? 0.5 : 0.5 + Math.max(-1, Math.min(1, (value - middle) / reach)) / 2;
}

/** The colour of a share from 0 to 1; shares outside are taken to the nearer end. */
export function colorOf(scale: Scale, share: number): Rgb {
  const place = Math.max(0, Math.min(1, share)) * (scale.length - 1);
  const below = Math.min(scale.length - 2, Math.floor(place));
  return mixed(scale[below]!, scale[below + 1]!, place - below);
}

/** Whichever of black and white is better read on a colour, by their contrast ratio (WCAG 2.1). */
export function readableOn(color: Rgb): Rgb {
  const light = luminance(color);
  return (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) ? [0, 0, 0] : [255, 255, 255];
}

/** Relative luminance, 0 to 1 (WCAG 2.1). */
export function luminance(color: Rgb): number {
  const [red, green, blue] = color.map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** As CSS writes it. */
export function cssColor([red, green, blue]: Rgb): string {
  return `rgb(${red}, ${green}, ${blue})`;
}
