/** Measurements over time: channels of sensors, a price-like series, the times when they were taken. */
import { randomWords } from "./random.ts";
import { bytesOf, type Kind, type Sample } from "./sample.ts";

const CHANNELS = 8;
/** Volts of one step of an analog-digital converter of 12 bits over 5 V. */
const CONVERTER_STEP = 5 / 4096;
/** Nanoseconds between two measurements, and when the first was taken. */
const PERIOD = 10_000_000n;
const FIRST = 1_700_000_000_000_000_000n;

/** Sensors of 12 bits, as volts: each channel a slow walk that stays in range, with a step of noise. */
function sensors(seed: number, bytes: number): Sample {
  const random = randomWords(seed);
  const rows = Math.floor(bytes / (4 * CHANNELS));
  const data = new Float32Array(rows * CHANNELS);
  // In sixteenths of a step.
  const levels = Int32Array.from({ length: CHANNELS }, () => random() >>> 16);
  for (let at = 0; at < data.length; at++) {
    const channel = at % CHANNELS;
    const word = random();
    const level = levels[channel]! + ((word & 15) - 8) + ((word >>> 4) & 1);
    levels[channel] = Math.min(65_535, Math.max(0, level));
    data[at] = ((levels[channel]! + ((word >>> 5) & 15)) >> 4) * CONVERTER_STEP;
  }
  return { dtype: "float32", shape: [rows, CHANNELS], data: bytesOf(data) };
}

/** A walk in steps of a hundredth, as decimal measurements are that were parsed to float64. */
function walk(seed: number, bytes: number): Sample {
  const random = randomWords(seed);
  const data = new Float64Array(Math.floor(bytes / 8));
  let level = 200_000;
  for (let at = 0; at < data.length; at++) {
    const word = random();
    level += (word & 31) + ((word >>> 5) & 31) - 31;
    data[at] = level / 100;
  }
  return { dtype: "float64", shape: [data.length], data: bytesOf(data) };
}

/** Nanoseconds since 1970, regular but for the jitter of a clock and some gaps. */
function times(seed: number, bytes: number): Sample {
  const random = randomWords(seed);
  const data = new BigInt64Array(Math.floor(bytes / 8));
  let time = FIRST;
  for (let at = 0; at < data.length; at++) {
    const word = random();
    time += PERIOD;
    if (word >>> 22 === 0) time += PERIOD * 100n;
    data[at] = time + BigInt(word & 4095);
  }
  return { dtype: "int64", shape: [data.length], data: bytesOf(data) };
}

export const telemetryKinds: readonly Kind[] = [
  {
    name: "telemetry",
    description: "eight sensors of 12 bits over time, as float32",
    origin: "seeded",
    generate: sensors,
  },
  {
    name: "telemetry-fp64",
    description: "a random walk of two decimals, as float64",
    origin: "seeded",
    generate: walk,
  },
  {
    name: "timestamps",
    description: "int64 nanoseconds, regular with jitter and gaps",
    origin: "seeded",
    generate: times,
  },
];
