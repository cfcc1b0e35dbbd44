/** Events of a particle detector, in both forms that they are kept in: an array of cells, mostly zero, and a list of hits. */
import { randomBelow, randomWords } from "./random.ts";
import { bytesOf, type Kind, type Sample } from "./sample.ts";

/** Cells of one event: a square of which a shower hits a few. */
const SIDE = 32;
const CELLS = SIDE * SIDE;
/** A cell's energy comes in steps of the digitizer, in GeV. */
const ENERGY_STEP = Math.fround(0.0125);

/** Energies in cells: one to four showers an event, each weaker away from its middle. */
function cells(seed: number, bytes: number): Sample {
  const random = randomWords(seed);
  const below = randomBelow(random);
  const events = Math.floor(bytes / (4 * CELLS));
  const data = new Float32Array(events * CELLS);
  for (let event = 0; event < events; event++) {
    for (let shower = 1 + below(4); shower > 0; shower--) {
      const y = below(SIDE);
      const x = below(SIDE);
      const energy = 200 + below(4000);
      for (let hit = 4 + below(12); hit > 0; hit--) {
        const down = below(3) + below(3) - 2;
        const right = below(3) + below(3) - 2;
        const cell = ((y + down + SIDE) % SIDE) * SIDE + ((x + right + SIDE) % SIDE);
        const counts = Math.floor((energy * (64 + below(64))) / (128 * (1 + down * down + right * right)));
        data[event * CELLS + cell]! += counts * ENERGY_STEP;
      }
    }
  }
  return { dtype: "float32", shape: [events, SIDE, SIDE], data: bytesOf(data) };
}

/** Hits as records of four int32: event, channel, time in picoseconds since the trigger, charge. */
function hits(seed: number, bytes: number): Sample {
  const random = randomWords(seed);
  const below = randomBelow(random);
  const count = Math.floor(bytes / 16);
  const data = new Int32Array(4 * count);
  let event = 100_000;
  let left = 0;
  let channel = 0;
  let time = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (left-- === 0) {
      event++;
      left = 2 + below(30);
      channel = below(100);
      time = below(2000);
    }
    channel += 1 + below(300);
    time += below(40);
    data[at] = event;
    data[at + 1] = channel;
    data[at + 2] = time * 25;
    data[at + 3] = 20 + ((below(64) * below(64)) >> 3);
  }
  return { dtype: "int32", shape: [count, 4], data: bytesOf(data) };
}

export const detectorKinds: readonly Kind[] = [
  {
    name: "detector",
    description: "energies in the cells of a detector, float32, mostly zero",
    origin: "seeded",
    generate: cells,
  },
  {
    name: "detector-hits",
    description: "hits of a detector as records of four int32",
    origin: "seeded",
    generate: hits,
  },
];
