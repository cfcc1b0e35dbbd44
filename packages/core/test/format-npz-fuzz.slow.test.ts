import { crc32 } from "node:zlib";
import { dtypeOf } from "@tensorcask/codec";
import { describe, expect, it } from "vitest";
import type { Format } from "../src/format/format.ts";
import { npy } from "../src/format/npy/plan.ts";
import { npz } from "../src/format/npz/plan.ts";
import { readZipDirectory } from "../src/format/zip/directory.ts";
import { entryElements } from "../src/format/zip/elements.ts";
import { fuzzFormat } from "./format-fuzz.ts";
import { numpyArrays, numpyWritten } from "./format-npy-cases.ts";
import { fields, zip64End, zip64Extra, zipOf } from "./format-zip-cases.ts";

/** Every entry is a derived tensor: its data. */
const zip: Format = {
  id: "zip",
  matches: () => "name",
  async plan(source) {
    const entries = await readZipDirectory(source);
    return {
      parts: [{ kind: "literal", offset: 0, bytes: source.bytes }],
      derived: entries.map((entry) => ({
        name: entry.name,
        dtype: dtypeOf("uint8"),
        shape: [entry.bytes],
        bytes: entry.bytes,
        elements: (from) => entryElements(from, entry),
      })),
    };
  },
};

describe("zip and NumPy files, fuzzed", () => {
  it("100,000 damaged zip archives are read or refused", async () => {
    const data = new Uint8Array(300).map((_, index) => index % 7);
    const stored = { name: "stored", data: data.subarray(0, 20) };
    const deflated = { name: "deflated", data, deflated: true };
    const ones = 0xffffffff;
    const wide = { bytes: ones, compressedBytes: ones };
    const report = await fuzzFormat({
      format: zip,
      seeds: [
        zipOf([]),
        zipOf([stored, deflated], { comment: Uint8Array.of(1, 2, 3) }),
        zipOf([
          {
            ...stored,
            behind: fields((writer) => writer.u32(0x08074b50).u32(crc32(stored.data)).u32(20).u32(20)),
            local: { crc32: 0, bytes: 0, compressedBytes: 0 },
          },
          { ...deflated, name: "é" },
        ]),
        zipOf(
          [
            {
              ...stored,
              local: { ...wide, extra: zip64Extra(20, 20) },
              central: { ...wide, extra: zip64Extra(20, 20) },
            },
          ],
          {
            entries: 0xffff,
            bytes: ones,
            offset: ones,
            between: (at, offset) => zip64End(at, { entries: 1, bytes: at - offset, offset }),
          },
        ),
      ],
      seed: 3,
      derived: true,
    });
    expect(report.planned).toBeGreaterThan(1000);
    expect(report.drained).toBeGreaterThan(1000);
    expect(report.rules.size).toBeGreaterThan(15);
  });

  it("100,000 damaged .npy files are planned or refused", async () => {
    const { v1, v2, v3, fortran } = numpyArrays;
    const report = await fuzzFormat({ format: npy, seeds: [v1, v2, v3, fortran], seed: 4, names: "a.npy" });
    expect(report.planned).toBeGreaterThan(1000);
    expect(report.rules.size).toBeGreaterThan(6);
  });

  it("100,000 damaged .npz files are planned or refused", async () => {
    const member = (name: string, data: Uint8Array, deflated: boolean) => ({
      name: `${name}.npy`,
      data,
      deflated,
    });
    const { v1, fortran, text } = numpyArrays;
    const report = await fuzzFormat({
      format: npz,
      seeds: [
        numpyWritten("npz"),
        numpyWritten("npzCompressed"),
        zipOf([member("a", v1, true), member("b", fortran, true), member("c", text, true)]),
        zipOf([member("a", v1, false), member("b", fortran, false), { name: "readme", data: text }]),
      ],
      seed: 5,
      derived: true,
    });
    expect(report.planned).toBeGreaterThan(1000);
    expect(report.drained).toBeGreaterThan(1000);
    expect(report.rules.size).toBeGreaterThan(20);
  });
});
