/** One suite over both platform implementations: each must decode what the other wrote, and find every damage it can. */
import { createHash } from "node:crypto";
import { constants, deflateRawSync, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { compressFrameSync, decompressFrameSync } from "lz4-napi";
import { decompress as lz4jsDecompress } from "lz4js";
import { beforeAll, describe, expect, it } from "vitest";
import { DamageError, UsageError } from "../src/errors/errors.ts";
import { crc32 } from "../src/platform/gzip-member.ts";
import { decodeLz4Frame, readLz4Frame } from "../src/platform/lz4-frame.ts";
import * as node from "../src/platform/node.ts";
import type { Platform } from "../src/platform/platform.ts";
import * as portable from "../src/platform/portable.ts";
import { readZstdFrame } from "../src/platform/zstd-frame.ts";

const platforms: readonly (readonly [string, Platform])[] = [
  ["node", node],
  ["portable", portable],
];
const encoders: readonly (readonly [
  string,
  (data: Uint8Array) => Uint8Array,
  (by: Platform) => Platform["gunzip"],
])[] = [
  ["gzip 6 by node", (data) => node.gzip(data, 6), (by) => by.gunzip],
  ["gzip 9 by portable", (data) => portable.gzip(data, 9), (by) => by.gunzip],
  ["zstd 3 by node", (data) => node.zstd(data), (by) => by.unzstd],
  ["zstd 19 by node", (data) => node.zstd(data, { level: 19 }), (by) => by.unzstd],
  [
    "zstd 1, minMatch 7, hashLog 6 by node",
    (data) => node.zstd(data, { level: 1, parameters: { minMatch: 7, hashLog: 6 } }),
    (by) => by.unzstd,
  ],
  ["lz4 by node", (data) => node.lz4Compress(data, 1), (by) => by.lz4Decompress],
  ["lz4 by portable", (data) => portable.lz4Compress(data, 1), (by) => by.lz4Decompress],
];

/** Data with repeats and noise, always the same. */
function sample(length: number, alphabet = 11): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 0x2545f491;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = index % 97 < 40 ? (index >> 7) & 0xff : (state >>> 24) % alphabet;
  }
  return bytes;
}

/** The same bytes at an odd offset of shared memory. */
function sharedView(bytes: Uint8Array): Uint8Array {
  const view = new Uint8Array(new SharedArrayBuffer(bytes.length + 8), 3, bytes.length);
  view.set(bytes);
  return view;
}

beforeAll(async () => {
  await portable.platformReady();
  await node.platformReady();
});

describe.each(platforms)("%s", (_name, platform) => {
  it("hashes with SHA-256, at once and in pieces", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (data, cut) => {
        const expected = createHash("sha256").update(data).digest("hex");
        expect(Buffer.from(platform.sha256(sharedView(data))).toString("hex")).toBe(expected);
        const state = platform.createSha256();
        state.update(data.subarray(0, cut));
        state.update(sharedView(data.subarray(cut)));
        expect(Buffer.from(state.digest()).toString("hex")).toBe(expected);
      }),
      { numRuns: 50 },
    );
  });

  describe.each(encoders)("%s", (_coder, encode, decoder) => {
    const decode = decoder(platform);

    it("round-trips any bytes", () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 2000 }), fc.integer({ min: 0, max: 3 }), (bytes, spare) => {
          expect(decode(sharedView(encode(sharedView(bytes))), bytes.length + spare)).toEqual(bytes);
        }),
        { numRuns: 40 },
      );
    });

    it.each([0, 1, 63, 64, 65_535, 65_536, 131_073, 700_001])("round-trips %i bytes", (length) => {
      for (const bytes of [sample(length), sample(length, 256), new Uint8Array(length)]) {
        const decoded = decode(encode(bytes), length);
        expect(decoded.length).toBe(length);
        expect(Buffer.compare(decoded, bytes)).toBe(0);
      }
    });

    it("refuses more bytes than the caller allows", () => {
      const bytes = sample(5000);
      const encoded = encode(bytes);
      for (const maxBytes of [0, 1, 63, 4999]) expect(() => decode(encoded, maxBytes)).toThrow(DamageError);
      expect(() => decode(encode(new Uint8Array(4_000_000)), 100)).toThrow(DamageError);
    });

    it("refuses every truncation and trailing bytes", () => {
      const encoded = encode(sample(900));
      for (let length = 0; length < encoded.length; length++) {
        expect(() => decode(encoded.subarray(0, length), 900)).toThrow(DamageError);
      }
      for (const tail of [[0], [1, 2, 3], [...encoded.subarray(0, 40)]]) {
        expect(() => decode(new Uint8Array([...encoded, ...tail]), 4000)).toThrow(DamageError);
      }
    });

    it("on flipped bits throws DamageError or gives at most maxBytes", () => {
      const original = sample(900);
      const encoded = encode(original);
      for (let bit = 0; bit < encoded.length * 8; bit += 5) {
        const damaged = encoded.slice();
        damaged[bit >> 3]! ^= 1 << (bit & 7);
        try {
          expect(decode(damaged, 900).length).toBeLessThanOrEqual(900);
        } catch (error) {
          expect(error).toBeInstanceOf(DamageError);
        }
      }
    });
  });

  it("finds flipped bits in the content of gzip by its CRC", () => {
    const bytes = sample(3000);
    const encoded = node.gzip(bytes, 1);
    for (let at = 10; at < encoded.length; at += 7) {
      const damaged = encoded.slice();
      damaged[at]! ^= 0x10;
      try {
        expect(Buffer.compare(platform.gunzip(damaged, 3000), bytes)).toBe(0);
      } catch (error) {
        expect(error).toBeInstanceOf(DamageError);
      }
    }
  });

  it("throws DamageError on noise", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (noise) => {
        for (const decode of [platform.gunzip, platform.unzstd, platform.lz4Decompress]) {
          expect(() => decode(noise, 1000)).toThrow(DamageError);
        }
      }),
    );
  });

  it("reads gzip headers with name, comment, extra field and header CRC", () => {
    const content = sample(200);
    const header = [0x1f, 0x8b, 8, 0x1e, 0, 0, 0, 0, 0, 3, 3, 0, 7, 7, 7, 97, 0, 98, 99, 0];
    const trailer = new DataView(new ArrayBuffer(8));
    trailer.setUint32(0, crc32(content), true);
    trailer.setUint32(4, content.length, true);
    const crc = crc32(new Uint8Array(header)) & 0xffff;
    const parts = [
      ...header,
      crc & 0xff,
      crc >> 8,
      ...deflateRawSync(content),
      ...new Uint8Array(trailer.buffer),
    ];
    expect(platform.gunzip(new Uint8Array(parts), 200)).toEqual(content);
    const twoMembers = Buffer.concat([gzipSync(content), gzipSync(content.subarray(1))]);
    expect(() => platform.gunzip(twoMembers, 1000)).toThrow(DamageError);
  });

  it("reads zstd frames with a checksum and finds it wrong", () => {
    const content = sample(3000);
    const frame = new Uint8Array(
      zstdCompressSync(content, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
    );
    expect(Buffer.compare(platform.unzstd(frame, 3000), content)).toBe(0);
    frame[frame.length - 1]! ^= 1;
    expect(() => platform.unzstd(frame, 3000)).toThrow(DamageError);
  });

  it("reads zstd frames without a content size, and caps them", () => {
    const content = sample(300_000);
    const frame = new Uint8Array(
      zstdCompressSync(content, {
        params: { [constants.ZSTD_c_contentSizeFlag]: 0 },
        pledgedSrcSize: 300_000,
      }),
    );
    expect(readZstdFrame(frame, 300_000).contentBytes).toBeUndefined();
    expect(Buffer.compare(platform.unzstd(frame, 300_000), content)).toBe(0);
    expect(() => platform.unzstd(frame, 299_999)).toThrow(DamageError);
  });

  it("refuses zstd frames that need a dictionary or a huge window", () => {
    const frame = zstdCompressSync(sample(100));
    expect(() =>
      platform.unzstd(new Uint8Array([...frame.subarray(0, 4), frame[4]! | 1, 9, ...frame.subarray(5)]), 200),
    ).toThrow(/dictionary/);
    const huge = new Uint8Array([0x28, 0xb5, 0x2f, 0xfd, 0, 0xa0, 1, 0, 0]);
    expect(() => platform.unzstd(huge, 1000)).toThrow(/window of 1073741824/);
  });

  it("checks the checksums in LZ4 frames", () => {
    const content = sample(100_000);
    for (const options of [{ contentChecksum: true }, { blockChecksums: true }]) {
      const frame = new Uint8Array(compressFrameSync(Buffer.from(content), options));
      expect(Buffer.compare(platform.lz4Decompress(frame, 100_000), content)).toBe(0);
      const damaged = frame.slice();
      damaged[frame.length - 20]! ^= 0x40;
      expect(() => platform.lz4Decompress(damaged, 100_000)).toThrow(DamageError);
    }
  });

  it("reads LZ4 frames of several blocks that refer to each other", () => {
    const content = sample(5_000_000);
    const frame = portable.lz4Compress(content, 1);
    expect(readLz4Frame(frame, content.length).independentBlocks).toBe(false);
    expect(Buffer.compare(platform.lz4Decompress(frame, content.length), content)).toBe(0);
  });

  it("stops LZ4 frames that would expand beyond all proportion", () => {
    const frame = node.lz4Compress(new Uint8Array(40_000_000), 1);
    expect(() => platform.lz4Decompress(frame, 1_000_000)).toThrow(DamageError);
  });
});

describe("what only one platform does", () => {
  it("portable refuses to encode zstd, saying so", () => {
    expect(() => portable.zstd(new Uint8Array(1))).toThrow(UsageError);
    expect(() => portable.zstd(new Uint8Array(1))).toThrow(/browser cannot encode zstd/);
  });

  it("portable gzip does not depend on the time", () => {
    expect(portable.gzip(sample(10), 6).subarray(4, 8)).toEqual(new Uint8Array(4));
  });

  it("LZ4 frames of both are read by other decoders", () => {
    for (const content of [sample(0), sample(70_000), sample(70_000, 256), sample(4_300_000)]) {
      for (const [, platform] of platforms) {
        const frame = platform.lz4Compress(content, 1);
        expect(Buffer.compare(decompressFrameSync(Buffer.from(frame)), content)).toBe(0);
        expect(Buffer.compare(lz4jsDecompress(frame), content)).toBe(0);
      }
    }
  });

  it("node writes golden LZ4 frames", () => {
    expect(Buffer.from(node.lz4Compress(new Uint8Array(0), 1)).toString("hex")).toBe(
      "04224d1860408200000000",
    );
    expect(Buffer.from(node.lz4Compress(Uint8Array.of(1, 2, 3), 1)).toString("hex")).toBe(
      "04224d186040820300008001020300000000",
    );
    expect(readLz4Frame(node.lz4Compress(sample(600_000), 1), 600_000)).toMatchObject({
      independentBlocks: true,
      blockMaximum: 1 << 20,
    });
  });

  it("the checked LZ4 decoder refuses what the format forbids", () => {
    const frameOf = (block: readonly number[]): Uint8Array =>
      new Uint8Array([4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82, block.length, 0, 0, 0, ...block, 0, 0, 0, 0]);
    const decode = (block: readonly number[]): Uint8Array => {
      const bytes = frameOf(block);
      return decodeLz4Frame(bytes, readLz4Frame(bytes, 100), 100);
    };
    expect(decode([0x20, 7, 8])).toEqual(new Uint8Array([7, 8]));
    expect(decode([0x10, 7, 1, 0, 0x10, 9])).toEqual(new Uint8Array([7, 7, 7, 7, 7, 9]));
    expect(() => decode([0x10, 7, 0, 0, 0x10, 9])).toThrow(/reaches back 0/);
    expect(() => decode([0x10, 7, 2, 0, 0x10, 9])).toThrow(/reaches back 2/);
    expect(() => decode([0x10, 7, 1])).toThrow(/offset ends early/);
    expect(() => decode([0x10, 7, 1, 0])).toThrow(/without literals/);
    expect(() => decode([0x30, 7, 8])).toThrow(/literals end early/);
    expect(() => decode([0xf0])).toThrow(/literal length ends early/);
    expect(() => decode([0x1f, 7, 1, 0])).toThrow(/match length ends early/);
    expect(() => decode([0x1f, 7, 1, 0, 200, 0x10, 9])).toThrow(/more than 100 bytes/);
  });
});
