/**
 * Painted scenes: smooth light (noise of three scales, interpolated), things with edges on it, colours that go together. Pixels are RGB, 8 bits,
 * interleaved, without the grain of a sensor, which whoever takes the picture adds.
 */
import { randomBelow } from "./random.ts";

/** Width of the squares between whose corners light is interpolated, as powers of two, and how strong each scale is. */
const SCALES: readonly (readonly [log2: number, strength: number])[] = [
  [7, 90],
  [5, 40],
  [3, 12],
];
/** Light is computed in 1/256. */
const ONE_LOG2 = 8;

/** A picture of `height` x `width` pixels. */
export interface Picture {
  readonly height: number;
  readonly width: number;
  readonly pixels: Uint8ClampedArray<ArrayBuffer>;
}

/** A rectangle or an ellipse of one colour. */
interface Thing {
  readonly isRound: boolean;
  readonly halfHeight: number;
  readonly halfWidth: number;
  readonly colour: readonly number[];
}

/** Paints a scene with this many things on it. */
export function paintScene(random: () => number, height: number, width: number, things: number): Picture {
  const below = randomBelow(random);
  const light = new Int32Array(height * width);
  for (const [log2, strength] of SCALES) addLight(light, random, height, width, log2, strength);
  const tint = [below(60) - 30, below(40) - 20, below(60) - 30];
  const pixels = new Uint8ClampedArray(height * width * 3);
  for (let at = 0; at < light.length; at++) {
    const value = 40 + (light[at]! >> ONE_LOG2);
    // Colours change with the light, as in shadows.
    pixels[3 * at] = value + tint[0]! + (value >> 3);
    pixels[3 * at + 1] = value + tint[1]!;
    pixels[3 * at + 2] = value + tint[2]! - (value >> 3);
  }
  const picture = { height, width, pixels };
  for (let count = 0; count < things; count++) {
    paintThing(picture, randomThing(random), below(height), below(width));
  }
  return picture;
}

/** A thing of at most 80 pixels. */
export function randomThing(random: () => number): Thing {
  const below = randomBelow(random);
  return {
    isRound: below(2) === 0,
    halfHeight: 4 + below(36),
    halfWidth: 4 + below(36),
    colour: [below(256), below(256), below(256)],
  };
}

/** Adds noise of one scale: random corners, between them bilinear, in 1/256. */
function addLight(
  light: Int32Array,
  random: () => number,
  height: number,
  width: number,
  log2: number,
  strength: number,
): void {
  const size = 1 << log2;
  const columns = (width >> log2) + 2;
  const corners = Int32Array.from({ length: columns * ((height >> log2) + 2) }, () => random() >>> 24);
  for (let y = 0; y < height; y++) {
    const down = y & (size - 1);
    const above = (y >> log2) * columns;
    for (let x = 0; x < width; x++) {
      const right = x & (size - 1);
      const corner = above + (x >> log2);
      const top = corners[corner]! * (size - right) + corners[corner + 1]! * right;
      const bottom = corners[corner + columns]! * (size - right) + corners[corner + columns + 1]! * right;
      light[y * width + x]! += ((top * (size - down) + bottom * down) * strength) >> (2 * log2);
    }
  }
}

/** Paints a thing around a point; what lies outside of the picture is left out. */
export function paintThing({ height, width, pixels }: Picture, thing: Thing, y: number, x: number): void {
  const { isRound, halfHeight, halfWidth, colour } = thing;
  const [red, green, blue] = colour as [number, number, number];
  for (let row = Math.max(0, y - halfHeight); row < Math.min(height, y + halfHeight); row++) {
    // Half the width that an ellipse has in this row; Math.sqrt is exact by definition.
    const part = 1 - ((row - y) / halfHeight) ** 2;
    const half = isRound ? Math.floor(halfWidth * Math.sqrt(part)) : halfWidth;
    for (let column = Math.max(0, x - half); column < Math.min(width, x + half); column++) {
      const at = 3 * (row * width + column);
      const shade = (column - x) >> 2;
      pixels[at] = red + shade;
      pixels[at + 1] = green + shade;
      pixels[at + 2] = blue + shade;
    }
  }
}
