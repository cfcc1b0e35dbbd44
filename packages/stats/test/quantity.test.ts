import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatBytes,
  formatCount,
  formatDecibels,
  formatDeviation,
  formatItems,
  formatPercent,
  formatRatio,
  formatSeconds,
  formatSpeed,
} from "../src/quantity.ts";

describe("formatBytes", () => {
  it.each([
    [0, "0 B"],
    [1, "1 B"],
    [999, "999 B"],
    [1000, "1.00 kB"],
    [1234, "1.23 kB"],
    [9994, "9.99 kB"],
    [9996, "10.0 kB"],
    [99_940, "99.9 kB"],
    [99_960, "100 kB"],
    [999_499, "999 kB"],
    [999_500, "1.00 MB"],
    [1_776_834, "1.78 MB"],
    [256e6, "256 MB"],
    [4 * 2 ** 30, "4.29 GB"],
    [1.5e12, "1.50 TB"],
    [2 ** 53, "9.01 PB"],
    [5e21, "5000 EB"],
    [-1500, "-1.50 kB"],
    [0.5, "0.5 B"],
    [Number.POSITIVE_INFINITY, "Infinity"],
  ])("%d -> %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it("is within one percent and at most 7 characters for any size a disk can have", () => {
    const factors: Record<string, number> = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, PB: 1e15, EB: 1e18 };
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        const [value, unit] = formatBytes(bytes).split(" ");
        expect(formatBytes(bytes).length).toBeLessThanOrEqual(7);
        const read = Number(value) * (factors[unit ?? ""] ?? Number.NaN);
        expect(Math.abs(read - bytes)).toBeLessThanOrEqual(bytes / 100);
      }),
    );
  });
});

describe("other quantities", () => {
  it("ratios", () => {
    expect(formatRatio(null)).toBe("-");
    expect(formatRatio(1.52449)).toBe("1.524");
    expect(formatRatio(12.34)).toBe("12.3");
    expect(formatRatio(123_456.7)).toBe("123,457");
    expect(formatRatio(Number.POSITIVE_INFINITY)).toBe("-");
  });

  it("counts", () => {
    expect(formatCount(0)).toBe("0");
    expect(formatCount(999)).toBe("999");
    expect(formatCount(1_234_567)).toBe("1,234,567");
    expect(formatCount(-1000)).toBe("-1,000");
    expect(formatItems(1, "file")).toBe("1 file");
    expect(formatItems(0, "file")).toBe("0 files");
    expect(formatItems(2, "entry", "entries")).toBe("2 entries");
  });

  it("durations and speeds", () => {
    expect(formatSeconds(0.0344)).toBe("0.034 s");
    expect(formatSeconds(1.5)).toBe("1.50 s");
    expect(formatSeconds(12.34)).toBe("12.3 s");
    expect(formatSeconds(59.97)).toBe("1 min 0 s");
    expect(formatSeconds(245)).toBe("4 min 5 s");
    expect(formatSeconds(7380)).toBe("2 h 3 min");
    expect(formatSeconds(Number.NaN)).toBe("-");
    expect(formatSpeed(1e6, 2)).toBe("500 kB/s");
    expect(formatSpeed(1e6, 0)).toBe("-");
  });

  it("percents, decibels, deviations", () => {
    expect(formatPercent(1, 8)).toBe("12.5 %");
    expect(formatPercent(0, 0)).toBe("-");
    expect(formatDecibels(null)).toBe("-");
    expect(formatDecibels(42.123)).toBe("42.1 dB");
    expect(formatDeviation(0)).toBe("0");
    expect(formatDeviation(0.00123456)).toBe("0.00123");
    expect(formatDeviation(0.5)).toBe("0.5");
    expect(formatDeviation(100)).toBe("100");
    expect(formatDeviation(1e-9)).toBe("1e-9");
  });
});
