import { describe, expect, test } from "vitest";
import { FEATURED_FROM_BYTES, FEATURES, features } from "../src/chunk/features.ts";
import { noise, random } from "./codec-samples.ts";

const shared = (a: Uint8Array, b: Uint8Array): number => {
  const [one, other] = [features(a)!, features(b)!];
  return one.filter((feature, group) => feature !== 0 && feature === other[group]).length;
};

/** `bytes` with stretches of 256 bytes replaced until about so much of all windows in both are in common. */
function resembling(bytes: Uint8Array, jaccard: number, seed: number): Uint8Array {
  const next = random(seed);
  const kept = (2 * jaccard) / (1 + jaccard);
  const copy = bytes.slice();
  const other = noise(bytes.length, seed + 1);
  for (let at = 0; at < bytes.length; at += 256)
    if (next() >= kept) copy.set(other.subarray(at, at + 256), at);
  return copy;
}

describe("features", () => {
  test("the values stay what they are", () => {
    expect([...features(noise(40_000, 1))!]).toEqual(GOLDEN);
  });

  test.each([
    [0.9, 0.98],
    [0.7, 0.9],
    [0.5, 0.75],
  ])("of chunks that resemble each other by %d agree in %d of the cases", (jaccard, least) => {
    let found = 0;
    for (let seed = 0; seed < 200; seed++) {
      const bytes = noise(65_536, 1000 + seed);
      if (shared(bytes, resembling(bytes, jaccard, 5000 + seed)) > 0) found++;
    }
    expect(found / 200).toBeGreaterThan(least);
  });

  test("of unrelated chunks do not agree", () => {
    for (let seed = 0; seed < 200; seed++)
      expect(shared(noise(20_000, seed), noise(20_000, seed + 500))).toBe(0);
  });

  test("of what begins or ends otherwise agree in more than half of the cases", () => {
    const found = [0, 0];
    for (let seed = 0; seed < 200; seed++) {
      const bytes = noise(70_000, seed);
      const more = noise(20_000, 900 + seed);
      for (const [index, parts] of [
        [more, bytes],
        [bytes, more],
      ].entries())
        if (shared(bytes, new Uint8Array(Buffer.concat(parts))) > 0) found[index]!++;
    }
    for (const cases of found) expect(cases / 200).toBeGreaterThan(0.55);
  });

  test("are not taken of short chunks, nor of runs of one byte", () => {
    expect(features(noise(FEATURED_FROM_BYTES - 1, 1))).toBeUndefined();
    expect(features(noise(FEATURED_FROM_BYTES, 1))).toHaveLength(FEATURES);
    for (const value of [0, 32, 255]) expect(features(new Uint8Array(50_000).fill(value))).toBeUndefined();
  });

  test("runs of one byte in other bytes add nothing", () => {
    const padded = (seed: number): Uint8Array =>
      new Uint8Array(Buffer.concat([noise(4000, seed), Buffer.alloc(30_000), noise(4000, seed + 100)]));
    for (let seed = 0; seed < 50; seed++) expect(shared(padded(seed), padded(seed + 200))).toBe(0);
  });
});

const GOLDEN: readonly number[] = [1730549947, -2079616903, 383920576];
