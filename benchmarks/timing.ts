/**
 * Times and what is said about them: medians over rounds, and ratios against a peer taken within each round, because a machine that is slow
 * for a minute is slow for both. A ratio that is off by less than a tenth is noise.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Something that is timed beside others. `before` and `after` are not part of the time. */
export interface Contender {
  readonly name: string;
  before?(): Promise<void> | void;
  run(): Promise<void>;
  after?(): Promise<void> | void;
  /** Fewer rounds than the others, for what takes much longer. */
  readonly rounds?: number;
}

export interface RaceOptions {
  readonly rounds: number;
  /** Rounds that are not counted, before the others. Default 1. */
  readonly warmups?: number;
}

/** Seconds of one call. */
export async function seconds(run: () => Promise<void> | void): Promise<number> {
  const started = performance.now();
  await run();
  return (performance.now() - started) / 1000;
}

/** Processor time of one call in seconds: what is measured once only should not depend on what else the machine does. */
export function cpuSeconds(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** What the rounds of a contender took. */
export interface Timing {
  readonly seconds: number[];
  /**
   * Processor time of this process, threads included, but not of commands it started: what a busy machine
   * disturbs less.
   */
  readonly cpuSeconds: number[];
}

/** Runs all contenders in turn, round after round. */
export async function race(
  contenders: readonly Contender[],
  options: RaceOptions,
): Promise<Map<string, Timing>> {
  const { rounds, warmups = 1 } = options;
  const times = new Map<string, Timing>(
    contenders.map(({ name }) => [name, { seconds: [], cpuSeconds: [] }]),
  );
  for (let round = -warmups; round < rounds; round++) {
    for (const contender of contenders) {
      const most = contender.rounds ?? rounds;
      // What runs fewer rounds is not warmed up either.
      if (round >= most || (round < 0 && most < rounds)) continue;
      await contender.before?.();
      const before = process.cpuUsage();
      const taken = await seconds(() => contender.run());
      const { user, system } = process.cpuUsage(before);
      await contender.after?.();
      if (round < 0) continue;
      const timing = times.get(contender.name)!;
      timing.seconds.push(taken);
      timing.cpuSeconds.push((user + system) / 1e6);
    }
  }
  return times;
}

/** The value that a part of all values do not exceed: 0.5 is the median, 0.99 the 99th percentile. NaN of nothing. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  if (sorted.length === 0) return Number.NaN;
  const at = (sorted.length - 1) * part;
  const low = Math.floor(at);
  const below = sorted[low]!;
  const above = sorted[Math.min(low + 1, sorted.length - 1)]!;
  return below + (above - below) * (at - low);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** How many times faster `ours` is than `peer`: the median of the ratios of rounds that both ran. */
export function speedup(ours: readonly number[], peer: readonly number[]): number {
  const rounds = Math.min(ours.length, peer.length);
  return median(Array.from({ length: rounds }, (_, round) => peer[round]! / ours[round]!));
}

let collect: (() => void) | undefined;

/** Collects garbage, so that one measurement does not pay for the one before. */
export function collectGarbage(): void {
  if (collect === undefined) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
  }
  collect();
}

/** Megabytes (1,000,000 bytes) a second. */
export function megabytesPerSecond(bytes: number, taken: number): string {
  return taken > 0 ? (bytes / 1e6 / taken).toFixed(0) : "-";
}

/** Milliseconds with three digits behind the point. */
export function milliseconds(taken: number): string {
  return (taken * 1000).toFixed(3);
}

/** `1.23 x`. */
export function times(ratio: number): string {
  return Number.isFinite(ratio) ? `${ratio.toFixed(2)} x` : "-";
}
