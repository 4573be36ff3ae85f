/** A rectangle; y grows downwards. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** What is labelled: a mark of a radius around a point, and the size of its text. */
export interface Labelled {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Rings around a mark, on which places are tried from near to far, and directions on each. */
const RINGS = 40;
const RING_STEP = 7;
/** To the right first, where a label is read most easily. */
const DIRECTIONS = [0, 180, 315, 45, 270, 90, 225, 135, 337, 22, 202, 158];

/**
 * Places labels near their marks so that none lies over another, over a mark or over what is taken already, and all are
 * within the frame. Greedy: those that come first get the better places.
 *
 * @param radius of the marks
 * @returns a box for each, in their order; undefined for one that there was no room for
 */
export function placeLabels(
  items: readonly Labelled[],
  frame: Box,
  radius: number,
  taken: readonly Box[] = [],
): readonly (Box | undefined)[] {
  const marks = items.map(({ x, y }) => ({
    x: x - radius,
    y: y - radius,
    width: 2 * radius,
    height: 2 * radius,
  }));
  const placed: Box[] = [];
  return items.map((item) => {
    const box = candidates(item, radius).find(
      (each) => isWithin(each, frame) && ![...marks, ...taken, ...placed].some((other) => overlaps(each, other)),
    );
    if (box !== undefined) placed.push(box);
    return box;
  });
}

function candidates({ x, y, width, height }: Labelled, radius: number): readonly Box[] {
  return Array.from({ length: RINGS }, (_, ring) => radius + 3 + ring * RING_STEP).flatMap((distance) =>
    DIRECTIONS.map((degrees) => {
      const angle = (degrees * Math.PI) / 180;
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      // The point of the box that is nearest to the mark lies on the ring.
      const left = Math.abs(cos) < 0.3 ? x - width / 2 : cos > 0 ? x + distance * cos : x + distance * cos - width;
      return { x: left, y: y + distance * sin - height / 2 + (sin * height) / 2, width, height };
    }),
  );
}

export function overlaps(one: Box, other: Box): boolean {
  return (
    one.x < other.x + other.width &&
    other.x < one.x + one.width &&
    one.y < other.y + other.height &&
    other.y < one.y + one.height
  );
}

function isWithin({ x, y, width, height }: Box, frame: Box): boolean {
  return (
    x >= frame.x && y >= frame.y && x + width <= frame.x + frame.width && y + height <= frame.y + frame.height
  );
}
