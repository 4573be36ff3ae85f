/**
 * The contrast of an element's text with what lies behind it (WCAG 2.1, 1.4.3 and 1.4.11), from the colors of the elements that it
 * lies in, translucent ones and shadow roots included. Runs in the page.
 *
 * @param target a selector for each shadow root on the way, as axe names an element
 * @returns the ratio, and the least that is wanted for text of this size; or why it cannot be told
 */
export function contrastOf(target) {
  let element;
  for (const selector of target) element = (element?.shadowRoot ?? document).querySelector(selector);
  if (!element) return { unknown: `no element ${target.join(' ')}` };

  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  /** Red, green, blue of 0 to 255, and alpha of 0 to 1, of any CSS color. */
  const parsed = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([red, green, blue, alpha], below) =>
    [red, green, blue].map((channel, at) => channel * alpha + below[at] * (1 - alpha));
  const parentOf = (node) => node.assignedSlot ?? node.parentElement ?? node.getRootNode().host;
  /** https://www.w3.org/TR/WCAG21/#dfn-relative-luminance */
  const luminance = (color) => {
    const [red, green, blue] = color.map((channel) => {
      const share = channel / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };

  const ancestors = [];
  for (let node = element; node; node = parentOf(node)) ancestors.push(getComputedStyle(node));
  const picture = ancestors.find(({ backgroundImage }) => backgroundImage !== 'none');
  if (picture) return { unknown: `it lies over ${picture.backgroundImage.slice(0, 60)}` };
  // The webview itself lets the editor shine through.
  let behind = parsed(getComputedStyle(document.documentElement).getPropertyValue('--vscode-editor-background'));
  let opacity = 1;
  for (const style of [...ancestors].reverse()) {
    opacity *= Number(style.opacity);
    const [red, green, blue, alpha] = parsed(style.backgroundColor);
    behind = over([red, green, blue, alpha * opacity], behind);
  }
  const { color, fontSize, fontWeight } = ancestors[0];
  const [red, green, blue, alpha] = parsed(color);
  const [light, dark] = [luminance(over([red, green, blue, alpha * opacity], behind)), luminance(behind)].sort(
    (a, b) => b - a,
  );
  const size = parseFloat(fontSize);
  const isLarge = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700);
  // A sign without a letter or a digit is a picture (1.4.11).
  const isSign = !/[\p{L}\p{N}]/u.test(element.textContent);
  return { ratio: (light + 0.05) / (dark + 0.05), wanted: isLarge || isSign ? 3 : 4.5 };
}
