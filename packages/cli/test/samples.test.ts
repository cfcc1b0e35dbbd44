/** The generators of `bench`: the same bytes from a seed everywhere, the size asked for, and that each comes back from the presets. */
import { createHash } from "node:crypto";
import { decodeFrame, dtypeOf, elementCount, encodeFrame, findBuiltinPreset } from "@tensorcask/codec";
import { chunksOf, generateSample, kinds } from "@tensorcask/samples";
import { describe, expect, it } from "vitest";

const BYTES = 2 ** 18;
const seeded = kinds.filter(({ origin }) => origin === "seeded").map(({ name }) => name);

/** First bytes of the SHA-256 of 256 KiB with seed 1. */
const golden: Record<string, string> = {
  "weights-bf16": "a7a5059e27aacc86",
  "weights-fp32": "d9170591cbc40b93",
  "weights-fp16": "fc4c68e3991c0fda",
  "weights-fp8": "3c22e0f6a514268e",
  "weights-int8": "575b5657f92b6bee",
  "weights-sparse": "e8d639f4ec92e8e5",
  "weights-bf16-in-fp32": "1811a0742bde2b8d",
  text: "654cdf11bf2e219f",
  code: "e541fca50ff3932f",
  image: "cc24ed2161783180",
  video: "7c0b789237601db2",
  audio: "425314859f0cdfc3",
  detector: "bf4ab01682e2cc13",
  "detector-hits": "4efd9fb23edd91aa",
  telemetry: "b0f1e9c66a1d99f8",
  "telemetry-fp64": "23b1870c6b2964f4",
  timestamps: "72ca3203e3e74725",
  packets: "8132194087323ab3",
  logs: "05e81bd0261f6eb7",
  periodic: "205224dcfaa32e62",
  "multi-scale": "d22f1ee134872f9e",
  random: "0888aab3db3748d7",
};

/** Bits a byte of a code of single bytes. */
function orderZeroBits(bytes: Uint8Array): number {
  const counts = new Float64Array(256);
  for (const byte of bytes) counts[byte]!++;
  return counts.reduce((sum, count) => {
    const share = count / bytes.length;
    return count === 0 ? sum : sum - share * Math.log2(share);
  }, 0);
}

describe.each(kinds.map(({ name }) => name))("%s", (name) => {
  it("is a whole sample, nearly of the size asked for", async () => {
    for (const bytes of [4096, 99_999, BYTES]) {
      const { dtype, shape, data } = await generateSample(name, 3, bytes);
      expect((elementCount(shape) * dtypeOf(dtype).bits) / 8).toBe(data.length);
      expect(data.length).toBeLessThanOrEqual(bytes);
      // At most a row of the widest picture, or a picture, is missing.
      const unit = shape.slice(1).reduce((product, length) => product * length, dtypeOf(dtype).bits / 8);
      expect(data.length).toBeGreaterThan(bytes - unit);
    }
  });

  it("comes back from the presets", async () => {
    const { dtype, data } = await generateSample(name, 2, 2 ** 16);
    for (const preset of ["lossless", "lossless-fast", "fast"]) {
      const { codec: policy } = findBuiltinPreset(preset)!;
      const back = chunksOf(dtype, data).map((chunk) =>
        decodeFrame(encodeFrame({ ...chunk, policy }), "test", chunk.hash, { verifyHash: true }),
      );
      expect(Buffer.compare(Buffer.concat(back), data), preset).toBe(0);
    }
  });
});

describe("seeds", () => {
  it.each(seeded)("%s: the bytes of seed 1 are known", async (name) => {
    const { data } = await generateSample(name, 1, BYTES);
    expect(createHash("sha256").update(data).digest("hex").slice(0, 16)).toBe(golden[name]);
  });

  it.each(seeded)("%s: another seed gives other bytes", async (name) => {
    const [one, two] = await Promise.all([1, 2].map((seed) => generateSample(name, seed, BYTES)));
    expect(Buffer.compare(one!.data, two!.data)).not.toBe(0);
  });
});

describe("what kinds promise", () => {
  it("text and code have as many bits a letter as languages", async () => {
    for (const name of ["text", "code"]) {
      const { data } = await generateSample(name, 4, BYTES);
      expect(orderZeroBits(data)).toBeGreaterThan(4);
      expect(orderZeroBits(data)).toBeLessThan(5);
      expect(data.every((byte) => byte === 10 || (byte >= 32 && byte < 127))).toBe(true);
    }
  });

  it("sparse weights are 92 % zeros, events mostly", async () => {
    const zeros = async (name: string): Promise<number> => {
      const { data } = await generateSample(name, 5, BYTES);
      const words = new Float32Array(data.buffer, data.byteOffset, data.length / 4);
      return words.filter((word) => word === 0).length / words.length;
    };
    expect(await zeros("weights-sparse")).toBeCloseTo(0.92, 2);
    expect(await zeros("detector")).toBeGreaterThan(0.95);
  });

  it("normal weights are normal", async () => {
    const { data } = await generateSample("weights-fp32", 6, BYTES);
    const values = new Float32Array(data.buffer, data.byteOffset, data.length / 4);
    const sigma = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    const within = (sigmas: number): number =>
      values.filter((value) => Math.abs(value) < sigmas * sigma).length / values.length;
    expect(within(1)).toBeCloseTo(0.6827, 2);
    expect(within(2)).toBeCloseTo(0.9545, 2);
    expect(within(3)).toBeCloseTo(0.9973, 3);
  });

  it("random bytes are even", async () => {
    const { data } = await generateSample("random", 7, BYTES);
    expect(orderZeroBits(data)).toBeGreaterThan(7.99);
  });
});

describe("what is refused", () => {
  it("is named", async () => {
    await expect(generateSample("nothing", 1, BYTES)).rejects.toMatchObject({ tag: "not-found" });
    await expect(generateSample("text", -1, BYTES)).rejects.toMatchObject({ tag: "usage", field: "seed" });
    await expect(generateSample("text", 2 ** 32, BYTES)).rejects.toMatchObject({ tag: "usage" });
    await expect(generateSample("text", 1, 4095)).rejects.toMatchObject({ tag: "usage", field: "bytes" });
    await expect(generateSample("text", 1, 2 ** 31)).rejects.toMatchObject({ tag: "limit" });
  });
});
