import { dtypeOf, InvalidFileError, UsageError } from "@tensorcask/codec";
import { describe, expect, it } from "vitest";
import type { Format, FormatPlan } from "../src/format/format.ts";
import type { DerivedTensor, PlanPart, Source } from "../src/model/plan.ts";
import { fuzzFormat, mutateFile } from "./format-fuzz.ts";
import { numbers } from "./format-safetensors-cases.ts";

const uint8 = dtypeOf("uint8");

/** A format whose first byte says what is wrong with it; the seed file has a 0 there. */
function formatThat(
  goesWrong: (source: Source, plan: FormatPlan) => FormatPlan | Promise<FormatPlan>,
): Format {
  return {
    id: "test",
    matches: () => "content",
    async plan(source) {
      const first = new Uint8Array(1);
      await source.read(first, 0);
      const parts: PlanPart[] = [
        { kind: "literal", offset: 0, bytes: 1 },
        {
          kind: "tensor",
          name: "a",
          dtype: uint8,
          shape: [source.bytes - 1],
          offset: 1,
          bytes: source.bytes - 1,
        },
      ];
      return first[0] === 0 ? { parts } : goesWrong(source, { parts });
    },
  };
}

const seeds = [Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7)];
const fuzz = (format: Format, derived = false) => fuzzFormat({ format, seeds, seed: 1, runs: 300, derived });

describe("the fuzz harness", () => {
  it("counts what is planned and what is refused, by rule", async () => {
    const format = formatThat((source) => {
      throw new InvalidFileError(source.name, "first", "its first byte is not 0");
    });
    const report = await fuzz(format);
    expect(report.planned + report.refused).toBe(300);
    expect(report.planned).toBeGreaterThan(100);
    expect(report.rules.get("first")).toBeGreaterThan(30);
    // Same seed, same files.
    expect((await fuzz(format)).rules).toEqual(report.rules);
  });

  const wrong: [string, RegExp, Format][] = [
    ["a crash", /reading '0'/, formatThat(() => (undefined as unknown as FormatPlan[])[0]!)],
    [
      "an error that blames the caller",
      /a field/,
      formatThat(() => {
        throw new UsageError("field", "a field");
      }),
    ],
    ["a hole", /ends at/, formatThat((_, { parts }) => ({ parts: parts.slice(1) }))],
    ["an end too early", /the parts end at 1/, formatThat((_, { parts }) => ({ parts: parts.slice(0, 1) }))],
    [
      "a size that does not fit the shape",
      /bytes for uint8/,
      formatThat((_, { parts }) => ({ parts: [parts[0]!, { ...parts[1]!, shape: [2 ** 40] } as PlanPart] })),
    ],
    [
      "a name twice",
      /twice/,
      formatThat((_, { parts }) => ({
        parts: [
          parts[0]!,
          { kind: "tensor", name: "a", dtype: uint8, shape: [0], offset: 1, bytes: 0 },
          parts[1]!,
        ],
      })),
    ],
    [
      "a buffer that the file does not pay for",
      /a buffer of/,
      formatThat(async (source, plan) => {
        await source.read(new Uint8Array(2 ** 20), 0);
        return plan;
      }),
    ],
  ];
  it.each(wrong)("finds %s", async (_, message, format) => {
    await expect(fuzz(format)).rejects.toThrow(message);
    // The file comes with it, and the seed.
    await expect(fuzz(format)).rejects.toThrow(/seed 1, run \d+: [\s\S]*\n[A-Za-z0-9+/]+=*$/);
  });

  it.each([1, 3])("finds a derived tensor of 2 bytes that gives %i", async (bytes) => {
    const tensor: DerivedTensor = {
      name: "derived",
      dtype: uint8,
      shape: [2],
      bytes: 2,
      async *elements() {
        yield new Uint8Array(bytes);
      },
    };
    const format = formatThat((_, plan) => ({ ...plan, derived: [tensor] }));
    await expect(fuzz(format, true)).rejects.toThrow(`${bytes} bytes of 2`);
    expect((await fuzz(format, false)).planned).toBeGreaterThan(0);
  });

  it("refuses a seed file that is none", async () => {
    const format = formatThat((source) => {
      throw new InvalidFileError(source.name, "first", "its first byte is not 0");
    });
    await expect(fuzzFormat({ format, seeds: [Uint8Array.of(1)], seed: 1 })).rejects.toThrow("seed file 0");
  });

  it("damages files in many ways, and leaves the seeds as they are", () => {
    const random = numbers(3);
    const seed = new Uint8Array(64).fill(0x31);
    const lengths = new Set<number>();
    for (let count = 0; count < 1000; count++) lengths.add(mutateFile([seed], random).length);
    expect(Math.min(...lengths)).toBeLessThan(16);
    expect(Math.max(...lengths)).toBeGreaterThan(80);
    expect(seed).toEqual(new Uint8Array(64).fill(0x31));
  });
});
