/** Pictures as sensors give them: photographs, each of its own scene, and the frames of a film. */
import { randomBelow, randomWords } from "./random.ts";
import { bytesOf, type Kind, type Sample, stackShape } from "./sample.ts";
import { paintScene, paintThing, randomThing } from "./scene.ts";

const PHOTO_HEIGHT = 512;
const PHOTO_WIDTH = 512;
const PHOTO_THINGS = 40;

const FRAME_HEIGHT = 240;
const FRAME_WIDTH = 320;
/** What a camera pans over: larger than a frame. */
const SCENE_HEIGHT = 360;
const SCENE_WIDTH = 960;
const SCENE_THINGS = 30;
const ACTORS = 6;
/** Frames until the camera moves by a pixel. */
const FRAMES_PER_PIXEL = 2;

function product(shape: readonly number[]): number {
  return shape.reduce((all, length) => all * length, 1);
}

/** The sum of two draws from 0 to 3, less their mean: -3 to 3, mostly near 0. */
function grain(word: number): number {
  return (word & 3) + ((word >>> 2) & 3) - 3;
}

/** Copies pixels and adds grain: eight channels a random word. */
function develop(from: Uint8ClampedArray, into: Uint8ClampedArray, random: () => number): void {
  let word = 0;
  for (let at = 0; at < into.length; at++) {
    word = (at & 7) === 0 ? random() : word >>> 4;
    into[at] = from[at]! + grain(word);
  }
}

function photos(seed: number, bytes: number): Sample {
  const shape = stackShape(bytes, PHOTO_HEIGHT, PHOTO_WIDTH, 3);
  const data = new Uint8ClampedArray(product(shape));
  const random = randomWords(seed);
  const photoBytes = PHOTO_HEIGHT * PHOTO_WIDTH * 3;
  for (let at = 0; at < data.length; at += photoBytes) {
    const { pixels } = paintScene(random, PHOTO_HEIGHT, PHOTO_WIDTH, PHOTO_THINGS);
    develop(pixels, data.subarray(at, at + photoBytes), random);
  }
  return { dtype: "uint8", shape, data: bytesOf(data) };
}

/** Grain of a film is weaker than that of a photograph and not everywhere: -1, 0 or 1. */
function addFilmGrain(frame: Uint8ClampedArray, random: () => number): void {
  let word = 0;
  for (let at = 0; at < frame.length; at++) {
    word = (at & 7) === 0 ? random() : word >>> 4;
    const draw = word & 15;
    if (draw < 2) frame[at]! += 2 * draw - 1;
  }
}

function film(seed: number, bytes: number): Sample {
  const shape = stackShape(bytes, FRAME_HEIGHT, FRAME_WIDTH, 3);
  const data = new Uint8ClampedArray(product(shape));
  const random = randomWords(seed);
  const below = randomBelow(random);
  const scene = paintScene(random, SCENE_HEIGHT, SCENE_WIDTH, SCENE_THINGS);
  const actors = Array.from({ length: ACTORS }, () => ({
    thing: randomThing(random),
    y: below(FRAME_HEIGHT),
    x: below(FRAME_WIDTH),
    pace: below(7) - 3,
  }));
  const rowBytes = FRAME_WIDTH * 3;
  const frameBytes = FRAME_HEIGHT * rowBytes;
  const frame = { height: FRAME_HEIGHT, width: FRAME_WIDTH, pixels: new Uint8ClampedArray(frameBytes) };
  for (let index = 0; index * frameBytes < data.length; index++) {
    const pan = backAndForth(Math.floor(index / FRAMES_PER_PIXEL), SCENE_WIDTH - FRAME_WIDTH);
    for (let row = 0; row < FRAME_HEIGHT; row++) {
      const start = ((row + 60) * SCENE_WIDTH + pan) * 3;
      frame.pixels.set(scene.pixels.subarray(start, start + rowBytes), row * rowBytes);
    }
    for (const { thing, y, x, pace } of actors) {
      paintThing(frame, thing, y, backAndForth(x + index * pace, FRAME_WIDTH));
    }
    addFilmGrain(frame.pixels, random);
    const at = index * frameBytes;
    data.set(frame.pixels.subarray(0, Math.min(frameBytes, data.length - at)), at);
  }
  return { dtype: "uint8", shape, data: bytesOf(data) };
}

/** A place between 0 and `span` that turns round at both. */
function backAndForth(steps: number, span: number): number {
  const phase = Math.abs(steps) % (2 * span);
  return phase < span ? phase : 2 * span - phase;
}

export const pictureKinds: readonly Kind[] = [
  {
    name: "image",
    description: "photographs of 512 x 512 RGB pixels with the grain of a sensor",
    origin: "seeded",
    generate: photos,
  },
  {
    name: "video",
    description: "consecutive frames of 320 x 240 RGB pixels: a slow pan, things that move",
    origin: "seeded",
    generate: film,
  },
];
