/** Seeded data of every kind, and what coders make of it: shared by `pnpm bench` and `tensorcask bench`. */
export { type Coder, type Coding, codecCoders, frameCoder, peerCoders, presetCoders } from "./coders.ts";
export {
  type ChainShare,
  type Chunk,
  chunksOf,
  chunksOfStream,
  FrameBench,
  type StreamChunks,
} from "./frames.ts";
export { generateSample, kinds } from "./kinds.ts";
export { bytesOfChunks, chainsText, type Measured, type MeasureOptions, measureCoders } from "./measure.ts";
export { fillNormals, standardQuantiles } from "./normal.ts";
export { randomBelow, randomBytes, randomWords } from "./random.ts";
export type { Kind, Sample } from "./sample.ts";
