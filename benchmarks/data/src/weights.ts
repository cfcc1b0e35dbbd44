/**
 * Weights of models in the types that they come in: matrices of 1,024 columns whose rows are normal, each block of 256 rows with a sigma
 * of its own between 0.01 and 0.05, as layers have.
 */
import { dtypeOf, fromFloat32, toFloat32 } from "@tensorcask/codec";
import { fillNormals } from "./normal.ts";
import { randomWords } from "./random.ts";
import { bytesOf, type Kind, type Sample } from "./sample.ts";

const COLUMNS = 1024;
const LAYER_ELEMENTS = 256 * COLUMNS;

/** Share of weights that pruning leaves, in 2^32. */
const KEPT = Math.round(0.08 * 2 ** 32);
/** The largest number of float8_e4m3fn. */
const FP8_MAX = 448;

/** As many rows of normals as there is room for, at this many bytes an element. */
function normalRows(seed: number, bytes: number, elementBytes: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(Math.floor(bytes / elementBytes / COLUMNS) * COLUMNS);
  const random = randomWords(seed);
  for (let at = 0; at < values.length; at += LAYER_ELEMENTS) {
    const sigma = 0.01 + (0.04 * random()) / 2 ** 32;
    fillNormals(values.subarray(at, at + LAYER_ELEMENTS), random, sigma);
  }
  return values;
}

/** The largest magnitude, for scales. */
function largestOf(values: Float32Array): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  return largest;
}

function matrix(dtype: Sample["dtype"], data: Uint8Array<ArrayBuffer>): Sample {
  const rowBytes = (COLUMNS * dtypeOf(dtype).bits) / 8;
  return { dtype, shape: [data.length / rowBytes, COLUMNS], data };
}

function weights(name: string, description: string, generate: (seed: number, bytes: number) => Sample): Kind {
  return { name, description, origin: "seeded", generate };
}

function narrowed(dtype: "bfloat16" | "float16", seed: number, bytes: number): Sample {
  return matrix(dtype, new Uint8Array(fromFloat32(normalRows(seed, bytes, 2), dtype)));
}

/** The nearest float8_e4m3fn of each float32, by its upper half. */
function nearestFp8(): Uint8Array {
  const codes = Uint8Array.from({ length: 256 }, (_, code) => code);
  const values = toFloat32(dtypeOf("float8_e4m3fn"), codes);
  const known = [...codes].filter((code) => Number.isFinite(values[code]));
  const order = known.filter((code) => code !== 128).sort((a, b) => values[a]! - values[b]!);
  const word = new Uint32Array(1);
  const float = new Float32Array(word.buffer);
  return Uint8Array.from({ length: 65_536 }, (_, upper) => {
    // The middle of all float32 that share this half.
    word[0] = upper * 65_536 + 32_768;
    const value = float[0]!;
    let low = 0;
    for (let high = order.length - 1; low < high; ) {
      const middle = (low + high) >> 1;
      const between = (values[order[middle]!]! + values[order[middle + 1]!]!) / 2;
      if (value > between) low = middle + 1;
      else high = middle;
    }
    return order[low]!;
  });
}

/** One tensor, so one sigma and one scale: the largest of all becomes the largest number there is. */
function fp8(seed: number, bytes: number): Sample {
  const nearest = nearestFp8();
  const values = new Float32Array(Math.floor(bytes / COLUMNS) * COLUMNS);
  fillNormals(values, randomWords(seed), 1);
  const scale = FP8_MAX / largestOf(values);
  const data = new Uint8Array(values.length);
  for (let at = 0; at < values.length; at++) values[at]! *= scale;
  const halves = new Uint16Array(values.buffer);
  for (let at = 0; at < data.length; at++) data[at] = nearest[halves[2 * at + 1]!]!;
  return matrix("float8_e4m3fn", data);
}

/** One scale a row, as usual for 8-bit weights: the largest of the row becomes 127. */
function int8(seed: number, bytes: number): Sample {
  const values = normalRows(seed, bytes, 1);
  const data = new Int8Array(values.length);
  for (let at = 0; at < values.length; at += COLUMNS) {
    const row = values.subarray(at, at + COLUMNS);
    const scale = 127 / largestOf(row);
    for (let index = 0; index < COLUMNS; index++) data[at + index] = Math.round(row[index]! * scale);
  }
  return matrix("int8", bytesOf(data));
}

function sparse(seed: number, bytes: number): Sample {
  const values = normalRows(seed, bytes, 4);
  const random = randomWords(seed + 1);
  for (let at = 0; at < values.length; at++) if (random() >= KEPT) values[at] = 0;
  return matrix("float32", bytesOf(values));
}

function bf16InFp32(seed: number, bytes: number): Sample {
  const values = normalRows(seed, bytes, 4);
  const rounded = new Uint8Array(fromFloat32(values, "bfloat16"));
  return matrix("float32", bytesOf(toFloat32(dtypeOf("bfloat16"), rounded) as Float32Array<ArrayBuffer>));
}

export const weightKinds: readonly Kind[] = [
  weights("weights-bf16", "normal weights in bfloat16", (seed, bytes) => narrowed("bfloat16", seed, bytes)),
  weights("weights-fp32", "normal weights in float32", (seed, bytes) =>
    matrix("float32", bytesOf(normalRows(seed, bytes, 4))),
  ),
  weights("weights-fp16", "normal weights in float16", (seed, bytes) => narrowed("float16", seed, bytes)),
  weights("weights-fp8", "normal weights in float8_e4m3fn, one scale", fp8),
  weights("weights-int8", "normal weights in int8, a scale per row", int8),
  weights("weights-sparse", "pruned float32 weights, 92 % zeros", sparse),
  weights("weights-bf16-in-fp32", "bfloat16 weights that were saved as float32", bf16InFp32),
];
