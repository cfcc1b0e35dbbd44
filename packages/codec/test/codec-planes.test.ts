import { splitPlanes } from "@tensorcask/kernels";
import { beforeAll, describe, expect, test } from "vitest";
import { fromHex, toHex } from "../src/bytes/hex.ts";
import { ready } from "../src/bytes/ready.ts";
import { planes } from "../src/codec/planes.ts";
import { hasRepeats, NOISE_BITS, sampleBytes, trialSample } from "../src/codec/sampling.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { noise, normals, toBfloat16 } from "./codec-samples.ts";

beforeAll(() => ready());

const bfloat16 = dtypeOf("bfloat16");
const float32 = dtypeOf("float32");
const encode = (input: Uint8Array, dtype: string, parameters = {}): Uint8Array =>
  planes.encode(input, { dtype: dtypeOf(dtype) }, planes.parse(parameters));

/** Coder and payload length of every plane, from the table of a short-length payload. */
function table(coded: Uint8Array): { coder: number; bytes: number }[] {
  const entries = [];
  for (let plane = 0, at = 1; plane < (coded[0]! & 0x0f); plane++) {
    const coder = coded[at++]!;
    let bytes = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = coded[at++]!;
      bytes |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    entries.push({ coder, bytes });
  }
  return entries;
}

describe("planes", () => {
  // Encoders may change what they choose; what has been written must stay readable.
  test.each([
    // bfloat16 1.0, -2.0, 1.0 and an odd byte: rotated words 7f00 8001 7f00
    ["12 0003 0003 000100 7f807f 99", "bfloat16", "803f 00c0 803f 99"],
    // uint32 in one constant plane each, not rotated
    ["04 ff01 ff01 ff01 ff01 44332211", "uint32", "44332211 44332211"],
    // float32 holding bfloat16 1.0 and -1.0: upper halves rotated
    ["24 ff01 ff01 0002 ff01 00 00 0001 7f", "float32", "0000803f 000080bf"],
    ["01 0000", "uint8", ""],
    ["01 0002 0102", "int4", "0102"],
  ])("golden bytes %s", (coded, dtype, raw) => {
    const payload = fromHex(coded.replaceAll(" ", ""));
    const expected = raw.replaceAll(" ", "");
    const decoded = planes.decode(payload, { dtype: dtypeOf(dtype), bytes: expected.length / 2 });
    expect(toHex(decoded)).toBe(expected);
    expect(toHex(encode(decoded, dtype))).toBe(toHex(payload));
  });

  test("golden bytes of a zstd plane decode (encoders of other versions may write others)", () => {
    const payload = fromHex("01031828b52ffd602c007500003801020304050607010022528b11");
    const decoded = planes.decode(payload, { dtype: dtypeOf("uint8"), bytes: 300 });
    expect(decoded).toEqual(Uint8Array.from({ length: 300 }, (_, index) => 1 + (index % 7)));
  });

  test("stores noise, codes exponents: bfloat16 weights at 1.51 or better", () => {
    const input = toBfloat16(normals(131_072, 0.02, 11));
    const coded = encode(input, "bfloat16");
    expect(table(coded).map((plane) => plane.coder)).toEqual([0, 6]);
    expect(input.length / coded.length).toBeGreaterThan(1.51);
  });

  test("float32 weights keep three stored planes", () => {
    const input = new Uint8Array(normals(131_072, 0.02, 12).buffer);
    const coded = encode(input, "float32");
    expect(table(coded).map((plane) => plane.coder)).toEqual([0, 0, 0, 6]);
    expect(input.length / coded.length).toBeGreaterThan(1.2);
  });

  test("float32 that holds bfloat16 costs what bfloat16 costs", () => {
    const halves = toBfloat16(normals(65_536, 0.02, 13));
    const words = Uint32Array.from(new Uint16Array(halves.buffer), (half) => half << 16);
    const coded = encode(new Uint8Array(words.buffer), "float32");
    expect(coded.length).toBeLessThan(encode(halves, "bfloat16").length + 8);
    // One word that is not held by bfloat16, seen by no probe: the whole word is rotated then.
    words[1001]! |= 1;
    const other = encode(new Uint8Array(words.buffer), "float32");
    expect(other[0]).toBe(0x14);
    const decoded = planes.decode(other, { dtype: float32, bytes: words.byteLength });
    expect(Buffer.compare(decoded, new Uint8Array(words.buffer))).toBe(0);
  });

  test("finds repeats that entropy does not show", () => {
    const row = noise(3000, 4);
    const tiled = new Uint8Array(60_000);
    for (let at = 0; at < tiled.length; at += row.length) tiled.set(row, at);
    expect(encode(tiled, "float32").length).toBeLessThan(5000);
  });

  test("complex numbers are split by components, rotated", () => {
    expect(encode(new Uint8Array(64), "complex128")[0]).toBe(0x18);
    expect(encode(new Uint8Array(64).fill(1), "complex64")[0]! & 0x0f).toBe(4);
  });

  test("wordBytes and rotate override the dtype", () => {
    const input = toBfloat16(normals(20_000, 0.02, 13));
    expect(encode(input, "uint8", { wordBytes: 2, rotate: true })).toEqual(encode(input, "bfloat16"));
    expect(() => planes.parse({ wordBytes: 3 })).toThrow(/wordBytes is 3/);
    expect(() => planes.parse({ rotate: 1 })).toThrow(/rotate is 1/);
  });

  test.each([
    ["unknown width", "03 0000 0000 0000"],
    ["reserved bit", "41 0000"],
    ["both rotations", "34 0000 0000 0000 0000"],
    ["upper rotation of 2-byte words", "22 0000 0000"],
    ["planes as a plane's coder", "01 0500"],
    ["unknown coder", "01 6300"],
    ["nothing", ""],
    ["a table cut short", "12 00"],
    ["a plane length beyond the payload", "01 ff7f00"],
  ])("refuses %s", (_what, hex) => {
    const payload = fromHex(hex.replaceAll(" ", ""));
    expect(() => planes.decode(payload, { dtype: bfloat16, bytes: 8 })).toThrow(/planes: /);
  });
});

describe("sampling", () => {
  test("entropy of known sources", () => {
    expect(sampleBytes(noise(200_000, 2)).entropyBits).toBeGreaterThan(NOISE_BITS);
    expect(sampleBytes(new Uint8Array(5000)).entropyBits).toBe(0);
    expect(sampleBytes(noise(100_000, 3).map((byte) => byte & 3)).entropyBits).toBeCloseTo(2, 1);
    expect(sampleBytes(new Uint8Array(0))).toEqual({ entropyBits: 0, distinct: 0, repetition: 0 });
    expect(sampleBytes(Uint8Array.of(1, 9, 2, 9, 3, 9), 1, 2)).toMatchObject({ distinct: 1, entropyBits: 0 });
  });

  test("sees runs and does not take skew for them", () => {
    const runs = Uint8Array.from({ length: 50_000 }, (_, index) => (index >> 3) * 37);
    expect(sampleBytes(runs).repetition).toBeGreaterThan(0.5);
    const exponents = splitPlanes(toBfloat16(normals(50_000, 0.02, 5)), 2, true).subarray(50_000);
    expect(Math.abs(sampleBytes(exponents).repetition)).toBeLessThan(0.04);
  });

  test("repeats: tiled noise has them at any offset, weights do not", () => {
    const row = noise(5000, 8);
    const tiled = new Uint8Array(200_001);
    for (let at = 0; at + row.length < tiled.length; at += row.length) tiled.set(row, at);
    for (const offset of [0, 1, 2, 3]) expect(hasRepeats(tiled.subarray(offset))).toBe(true);
    expect(hasRepeats(new Uint8Array(normals(131_072, 0.02, 6).buffer))).toBe(false);
    expect(hasRepeats(toBfloat16(normals(131_072, 0.02, 6)))).toBe(false);
    expect(hasRepeats(new Uint8Array(10))).toBe(false);
  });

  test("trial samples are whole words from both halves", () => {
    const words = new Uint8Array(Uint32Array.from({ length: 50_000 }, (_, index) => index).buffer);
    const sample = trialSample(words, 8192, 16);
    expect(sample.length).toBe(8192);
    const values = new Uint32Array(sample.buffer);
    expect(values[1]! - values[0]!).toBe(1);
    expect(values[0]!).toBeLessThan(25_000);
    expect(values[values.length - 1]!).toBeGreaterThan(25_000);
    expect(trialSample(words, words.length, 16)).toBe(words);
  });
});
