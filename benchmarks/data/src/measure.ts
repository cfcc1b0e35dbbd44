/** Size and speed of coders, which are held against their input before anything counts. */
import { setImmediate } from "node:timers/promises";
import type { Coder, Coding } from "./coders.ts";
import type { ChainShare, Chunk } from "./frames.ts";

/** What a coder made of an input. */
export interface Measured {
  readonly coder: string;
  /** Bytes that were coded: fewer than the input has when the coder is too slow for all of it. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** The best of up to five rounds. */
  readonly encodeSeconds: number;
  readonly decodeSeconds: number;
  /** True when only some chunks were coded, evenly spread. */
  readonly isPart: boolean;
  readonly chains: readonly ChainShare[] | undefined;
}

export interface MeasureOptions {
  /** What one coder may take in one direction, about; one that is slower gets some of the chunks only. Default 4 seconds. */
  readonly seconds?: number;
  readonly signal?: AbortSignal;
  /** Called before each coder. */
  readonly onCoder?: (name: string) => void;
}

const DEFAULT_SECONDS = 4;
/** What tells how fast a coder is. */
const TRIAL_BYTES = 2 ** 18;
const ROUNDS = 5;
/** Rounds stop when they have taken this long together. */
const ROUNDS_SECONDS = 0.5;

/** Measures coders one after the other. Throws when one gives other bytes back. */
export async function measureCoders(
  chunks: readonly Chunk[],
  coders: readonly Coder[],
  options: MeasureOptions = {},
): Promise<Measured[]> {
  const all: Measured[] = [];
  for (const coder of coders) {
    // So that Ctrl-C gets through.
    await setImmediate();
    options.signal?.throwIfAborted();
    options.onCoder?.(coder.name);
    all.push(measure(chunks, coder, options.seconds ?? DEFAULT_SECONDS));
  }
  return all;
}

function measure(chunks: readonly Chunk[], coder: Coder, seconds: number): Measured {
  const trial = spreadChunks(chunks, TRIAL_BYTES);
  const tried = coder.begin(trial);
  const encodeTrial = timed(() => tried.encode());
  const decodeTrial = timed(() => tried.check());
  const most = (bytesOfChunks(trial) * seconds) / Math.max(encodeTrial, decodeTrial, 1e-6);
  const part = spreadChunks(chunks, Math.max(TRIAL_BYTES, most));
  const coding = part.length === trial.length ? tried : coder.begin(part);
  return { coder: coder.name, isPart: part.length < chunks.length, ...measured(coding, bytesOfChunks(part)) };
}

function measured(coding: Coding, bytesBefore: number): Omit<Measured, "coder" | "isPart"> {
  let bytesAfter = 0;
  const encodeSeconds = best(() => {
    bytesAfter = coding.encode();
  });
  coding.check();
  const decodeSeconds = best(() => coding.decode());
  return { bytesBefore, bytesAfter, encodeSeconds, decodeSeconds, chains: coding.chains };
}

/** About this many bytes in chunks from all over, so that their ratio says something about the rest; or all chunks. */
function spreadChunks(chunks: readonly Chunk[], bytes: number): readonly Chunk[] {
  const total = bytesOfChunks(chunks);
  if (bytes >= total) return chunks;
  const count = Math.max(1, Math.floor((chunks.length * bytes) / total));
  return Array.from({ length: count }, (_, index) => {
    return chunks[Math.floor(((index + 0.5) * chunks.length) / count)]!;
  });
}

/** Bytes of all chunks. */
export function bytesOfChunks(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

function best(run: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  let total = 0;
  for (let round = 0; round < ROUNDS && total < ROUNDS_SECONDS; round++) {
    const taken = timed(run);
    total += taken;
    least = Math.min(least, taken);
  }
  return least;
}

function timed(run: () => void): number {
  const started = performance.now();
  run();
  return (performance.now() - started) / 1000;
}

/** `entropy 97 %, raw 3 %`: the chains by their share of the bytes, three at most. */
export function chainsText(chains: readonly ChainShare[]): string {
  const total = chains.reduce((sum, { bytes }) => sum + bytes, 0);
  const shown = chains.slice(0, 3).map(({ chain, bytes }) => {
    return bytes === total ? chain : `${chain} ${Math.round((100 * bytes) / total)} %`;
  });
  return [...shown, ...(chains.length > 3 ? [`and ${chains.length - 3} more`] : [])].join(", ");
}
