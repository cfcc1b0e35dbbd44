import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  DamageError,
  dtypeOf,
  encodeFrame,
  fromHex,
  InvalidFileError,
  NotFoundError,
  parsePreset,
  readFrameHeader,
  ready,
  sha256,
  toHex,
  UsageError,
} from "@tensorcask/codec";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { compressStream, decompressStream } from "../src/index.ts";
import {
  readStreamEnd,
  readStreamHeader,
  STREAM_END_BYTES,
  STREAM_HEADER_BYTES,
  writeStreamEnd,
  writeStreamHeader,
} from "../src/stream/stream-layout.ts";
import { xxHash64 } from "./format-spec/bytes.ts";
import { decodeFrame, readFrame } from "./format-spec/frames.ts";
import {
  collect,
  compressed,
  decompressed,
  manyTensors,
  noise,
  pieces,
  safetensorsFile,
} from "./stream-samples.ts";

const model = safetensorsFile(manyTensors);
const large = noise(700_000, 9);
large.fill(7, 200_000, 400_000);

/** Inputs by what is special about them. */
const samples: Readonly<Record<string, Uint8Array>> = {
  empty: new Uint8Array(0),
  "one byte": Uint8Array.of(1),
  "opaque bytes": large,
  "a safetensors file": model,
  "a safetensors file that ends in a tensor": model.subarray(0, 301_117),
  "a safetensors file that ends in its header": model.subarray(0, 100),
  "a safetensors file with bytes behind it": Buffer.concat([model, noise(70_000, 3)]),
  "a safetensors file without tensors": safetensorsFile([]),
  "a broken safetensors header": Buffer.from('\x10\0\0\0\0\0\0\0{"a":{"dtype":7}}', "latin1"),
  "a safetensors length without end": Buffer.from('\xff\xff\xff\0\0\0\0\0{"a":', "latin1"),
  "tiny tensors that cannot be bundled": safetensorsFile(
    Array.from({ length: 3000 }, (_, index) => ({
      name: `t${index}`,
      dtype: index % 2 === 0 ? "uint8" : "int16",
      shape: [1],
    })),
  ),
};

/** Offset, length and header of each frame. */
function framesOf(
  stream: Uint8Array,
): { at: number; bytes: number; raw: number; dtype: string; hash: string }[] {
  const frames = [];
  for (let at = STREAM_HEADER_BYTES; at < stream.length - STREAM_END_BYTES; ) {
    const header = readFrameHeader(stream.subarray(at), "test");
    const { frameBytes, rawBytes, dtype, hash } = header;
    frames.push({ at, bytes: frameBytes, raw: rawBytes, dtype: dtype.name, hash: toHex(hash) });
    at += frameBytes;
  }
  return frames;
}

beforeAll(() => ready());

describe.each(Object.entries(samples))("%s", (_, original) => {
  it("comes back, and the end says what it was", async () => {
    const stream = await compressed([original]);
    const { bytes, result, failure } = await decompressed([stream]);
    expect(failure).toBeUndefined();
    expect(Buffer.compare(bytes, original)).toBe(0);
    const sha = createHash("sha256").update(original).digest("hex");
    expect({ ...result, sha256: toHex(result!.sha256) }).toEqual({
      originalBytes: original.length,
      compressedBytes: stream.length,
      frames: framesOf(stream).length,
      sha256: sha,
    });
    expect(toHex(readStreamEnd(stream.subarray(-STREAM_END_BYTES), "end").sha256)).toBe(sha);
  });

  it("gives the same bytes however it is split, both ways", async () => {
    const whole = await compressed([original], "fast");
    const cuts = (bytes: Uint8Array) =>
      fc.array(fc.oneof(fc.nat(bytes.length), fc.nat(Math.min(300, bytes.length))), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(cuts(original), cuts(whole), async (forth, back) => {
        expect(Buffer.compare(await compressed(pieces(original, forth), "fast"), whole)).toBe(0);
        const { bytes, failure } = await decompressed(pieces(whole, back));
        expect(failure).toBeUndefined();
        expect(Buffer.compare(bytes, original)).toBe(0);
      }),
      { numRuns: 8 },
    );
  });
});

describe("pieces", () => {
  it("of one byte each make no difference", async () => {
    const original = model.subarray(0, 20_000);
    const single = Array.from(original, (byte) => Uint8Array.of(byte));
    const stream = await compressed(single);
    expect(Buffer.compare(stream, await compressed([original]))).toBe(0);
    const { bytes } = await decompressed(Array.from(stream, (byte) => Uint8Array.of(byte)));
    expect(Buffer.compare(bytes, original)).toBe(0);
  });

  it("that their source overwrites for the next one make no difference", async () => {
    const buffer = new Uint8Array(1000);
    async function* reused(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < model.length; at += buffer.length) {
        const part = model.subarray(at, at + buffer.length);
        buffer.set(part);
        yield buffer.subarray(0, part.length);
        buffer.fill(0xee);
      }
    }
    const { bytes } = await collect(compressStream(reused(), { workers: 0 }));
    expect(Buffer.compare(bytes, await compressed([model]))).toBe(0);
  });

  it("given out are not shared memory, and threads change nothing", async () => {
    const original = Buffer.concat([model, large, large, large, large]);
    const threads = { workers: 2, memoryBytes: 64 * 2 ** 20 };
    const parts: Uint8Array[] = [];
    for await (const piece of compressStream([original], threads)) parts.push(piece);
    expect(parts.every((piece) => piece.buffer instanceof ArrayBuffer)).toBe(true);
    expect(Buffer.compare(Buffer.concat(parts), await compressed([original]))).toBe(0);
    const { bytes } = await collect(decompressStream(parts, threads));
    expect(Buffer.compare(bytes, original)).toBe(0);
  });

  it("of text are refused", async () => {
    const { failure } = await collect(compressStream(["text"] as unknown as Uint8Array[]));
    expect(failure).toMatchObject({ tag: "usage", field: "source" });
  });
});

describe("cuts", () => {
  it("are those of a store: tensors by elements with their types, small neighbours together", async () => {
    const tensors = [
      { name: "a", dtype: "bfloat16", shape: [1000, 300] },
      { name: "b", dtype: "bfloat16", shape: [10] },
      { name: "c", dtype: "bfloat16", shape: [20] },
      { name: "d", dtype: "float32", shape: [20] },
    ];
    const frames = framesOf(await compressed([safetensorsFile(tensors)]));
    const header = frames.shift()!;
    expect(header.dtype).toBe("uint8");
    // 131,072 elements are 436 rows of 300.
    expect(frames.map(({ raw, dtype }) => [raw, dtype])).toEqual([
      [436 * 600, "bfloat16"],
      [436 * 600, "bfloat16"],
      [128 * 600, "bfloat16"],
      [60, "bfloat16"],
      [80, "float32"],
    ]);
  });
});

describe("the page docs/format.md", () => {
  it("says what an empty stream is", async () => {
    const page = readFileSync(join(import.meta.dirname, "../../../docs/format.md"), "utf8");
    const [, hex] = /These 80 bytes:\n\n```text\n([\s\S]*?)```/i.exec(page)!;
    expect(toHex(await compressed([]))).toBe(hex!.replace(/\s/g, ""));
  });

  it("is enough to read a stream: a reader that shares no code with the library does", async () => {
    const stream = Buffer.from(await compressed([model]));
    expect(stream.subarray(0, 4).toString()).toBe("TCSF");
    const chunks: Buffer[] = [];
    let at = 24;
    while (stream.subarray(at, at + 2).toString() === "TF") {
      const frame = readFrame(stream.subarray(at));
      chunks.push(
        decodeFrame(frame, () => {
          throw new Error("streams have no siblings");
        }),
      );
      at += frame.frameBytes;
    }
    const end = stream.subarray(at);
    expect(end).toHaveLength(56);
    expect(end.subarray(0, 4).toString()).toBe("TCSE");
    expect(Number(end.readBigUInt64LE(8))).toBe(model.length);
    expect(end.readBigUInt64LE(48)).toBe(xxHash64(end.subarray(0, 48)));
    expect(stream.readBigUInt64LE(16)).toBe(xxHash64(stream.subarray(0, 16)));
    const original = Buffer.concat(chunks);
    expect(createHash("sha256").update(original).digest()).toEqual(end.subarray(16, 48));
    expect(Buffer.compare(original, model)).toBe(0);
  });
});

describe("the layout", () => {
  it("of an empty stream is fixed", async () => {
    expect(toHex(await compressed([]))).toBe(
      [
        "54435346 0000 0000 ffffffffffffffff 53737496e83c376d",
        "54435345 00000000 0000000000000000",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 efd25536df3630b5",
      ]
        .join("")
        .replaceAll(" ", ""),
    );
  });

  it("announces the size when it is known", async () => {
    const { bytes } = await collect(compressStream([Uint8Array.of(1, 2, 3)], { size: 3, workers: 0 }));
    expect(readStreamHeader(bytes.subarray(0, STREAM_HEADER_BYTES), "test")).toBe(3);
    expect(readStreamHeader(writeStreamHeader(undefined), "test")).toBeUndefined();
    expect(readStreamHeader(writeStreamHeader(0), "test")).toBe(0);
  });

  it("takes frames that fit no slot, which other writers may make", async () => {
    const chunk = new Uint8Array(12 * 2 ** 20).fill(3);
    const hash = sha256(chunk);
    const policy = parsePreset("p", { codec: "none" }).codec;
    const frame = encodeFrame({ hash, dtype: dtypeOf("uint8"), bytes: chunk, policy });
    const stream = [
      writeStreamHeader(undefined),
      frame,
      writeStreamEnd({ bytes: chunk.length, sha256: hash }),
    ];
    const { bytes, failure } = await decompressed(stream);
    expect(failure).toBeUndefined();
    expect(Buffer.compare(bytes, chunk)).toBe(0);
    frame[5_000_000]! ^= 1;
    expect((await decompressed(stream)).failure).toBeInstanceOf(DamageError);
  });
});

describe("damage", () => {
  const original = safetensorsFile([
    { name: "a", dtype: "bfloat16", shape: [40, 60] },
    { name: "b", dtype: "uint8", shape: [100] },
    { name: "c", dtype: "float32", shape: [100] },
  ]);

  /** Whatever came out before the error must be the beginning of the original. */
  async function expectDamage(stream: readonly Uint8Array[]): Promise<string> {
    const { bytes, failure } = await decompressed(stream);
    expect(failure).toBeInstanceOf(DamageError);
    expect(Buffer.compare(bytes, original.subarray(0, bytes.length))).toBe(0);
    return (failure as DamageError).message;
  }

  it("of any byte is found", async () => {
    const stream = await compressed([original], "none");
    for (let at = 0; at < stream.length; at += at < 200 || at > stream.length - 100 ? 1 : 37) {
      const damaged = stream.slice();
      damaged[at]! ^= 1 << (at % 8);
      await expectDamage([damaged]);
    }
  });

  it("of a length that stops anywhere is found", async () => {
    const stream = await compressed([original]);
    for (let bytes = 0; bytes < stream.length; bytes += bytes < 400 || bytes > stream.length - 100 ? 1 : 41) {
      await expectDamage([stream.subarray(0, bytes)]);
    }
    expect(await expectDamage([stream.subarray(0, -1)])).toContain("truncated");
  });

  it("of the order or number of frames is found", async () => {
    const stream = await compressed([original], "none");
    const frames = framesOf(stream).map(({ at, bytes }) => stream.subarray(at, at + bytes));
    const [head, end] = [stream.subarray(0, STREAM_HEADER_BYTES), stream.subarray(-STREAM_END_BYTES)];
    const [a, b, c, d] = frames as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const wrong: Record<string, Uint8Array[]> = {
      "frames are missing": [head, a, b, c, end],
      "too many frames": [head, a, b, c, d, d, end],
      "SHA-256": [head, a, b, d, c, end],
      truncated: [head, a, b, c, d],
    };
    for (const [message, parts] of Object.entries(wrong)) {
      const { failure } = await decompressed(parts);
      expect(failure).toBeInstanceOf(DamageError);
      expect((failure as Error).message).toContain(message);
    }
    expect(await expectDamage([stream, Uint8Array.of(0)])).toContain("behind the end");
    expect(await expectDamage([stream, stream])).toContain("behind the end");
  });

  it("of an announced size is found, before more than that comes out", async () => {
    const stream = await compressed([original], "none");
    const rest = stream.subarray(STREAM_HEADER_BYTES);
    expect(await expectDamage([writeStreamHeader(10), rest])).toContain("more than the 10 bytes");
    expect(await expectDamage([writeStreamHeader(original.length + 1), rest])).toContain("were compressed");
  });

  it("is what other files and versions are", async () => {
    expect(await expectDamage([original])).toContain("not a Tensorcask stream");
    expect(await expectDamage([])).toContain("empty");
    expect(await expectDamage([fromHex("54435346010000000000000000000000")])).toContain("ends within");
    const newer = fromHex(`544353460100${"00".repeat(18)}`);
    expect(await expectDamage([newer])).toContain("version 1 is newer");
  });
});

describe("options", () => {
  it("refuse lossy presets with advice, at once", () => {
    expect(() => compressStream([], { preset: "balanced" })).toThrow(
      /balanced.*loses precision.*into a store/s,
    );
    expect(() => compressStream([], { preset: "nope" })).toThrow(NotFoundError);
    expect(() => compressStream([], { presets: "fast" } as object)).toThrow(UsageError);
    expect(() => decompressStream([], { preset: "fast" } as object)).toThrow(UsageError);
    expect(() => compressStream([], { size: -1 })).toThrow(UsageError);
    expect(() => compressStream([], { workers: 0.5 })).toThrow(UsageError);
    expect(() => compressStream([], { memoryBytes: 1 })).toThrow(UsageError);
  });

  it("take presets from parsePreset", async () => {
    const preset = parsePreset("mine", { codec: ["planes", "zstd"] });
    const { bytes } = await collect(compressStream([model], { preset, workers: 0 }));
    expect(Buffer.compare((await decompressed([bytes])).bytes, model)).toBe(0);
  });

  it("hold a source to its announced size", async () => {
    const { failure } = await collect(compressStream([model], { size: 5, workers: 0, name: "x" }));
    expect(failure).toBeInstanceOf(InvalidFileError);
    expect(failure).toMatchObject({ file: "x", rule: "changed" });
  });

  it("tell progress of both ways", async () => {
    const seen: unknown[] = [];
    const options = {
      name: "m",
      size: model.length,
      workers: 0,
      onProgress: (one: unknown) => seen.push(one),
    };
    await collect(compressStream([model], options));
    expect(seen.at(-1)).toEqual({ phase: "compress", done: model.length, total: model.length, item: "m" });
    const stream = await compressed([model]);
    await collect(decompressStream([stream], { ...options, size: stream.length }));
    expect(seen.at(-1)).toEqual({
      phase: "decompress",
      done: stream.length,
      total: stream.length,
      item: "m",
    });
  });
});

describe("ends before the end", () => {
  it("by a signal, even when the source hangs", async () => {
    const stream = await compressed([large]);
    for (const open of [compressStream, decompressStream]) {
      const controller = new AbortController();
      let closed = false;
      async function* hanging(): AsyncGenerator<Uint8Array> {
        try {
          yield stream.subarray(0, 3000);
          setTimeout(() => controller.abort("SIGINT"), 5);
          await new Promise((resolve) => setTimeout(resolve, 100));
        } finally {
          closed = true;
        }
      }
      const { failure } = await collect(open(hanging(), { signal: controller.signal, workers: 0 }));
      expect(failure).toMatchObject({ tag: "cancelled", cause: "SIGINT" });
      await new Promise((resolve) => setTimeout(resolve, 150));
      expect(closed).toBe(true);
    }
    const { failure } = await collect(compressStream([large], { signal: AbortSignal.abort(), workers: 0 }));
    expect(failure).toMatchObject({ tag: "cancelled" });
  });

  it("when its reader stops: the source is let go", async () => {
    let closed = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield large;
      } finally {
        closed = true;
      }
    }
    for await (const piece of compressStream(endless(), { preset: "none", workers: 0 })) {
      if (piece.length > 100_000) break;
    }
    expect(closed).toBe(true);
  });

  it("when the source fails: with its error", async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield large;
      throw new Error("cable pulled");
    }
    expect((await collect(compressStream(failing(), { workers: 0 }))).failure).toMatchObject({
      message: "cable pulled",
    });
    expect((await collect(decompressStream(failing(), { workers: 0 }))).failure).toBeInstanceOf(DamageError);
  });
});

describe("memory", () => {
  it("is bounded: the source is never read further ahead than a few slots", async () => {
    const block = noise(2 ** 20, 5);
    let given = 0;
    async function* long(): AsyncGenerator<Uint8Array> {
      for (let count = 0; count < 64; count++) {
        given += block.length;
        yield block;
      }
    }
    let ahead = 0;
    let taken = 0;
    let back = 0;
    const stream = compressStream(long(), { preset: "none", workers: 0, memoryBytes: 32 * 2 ** 20 });
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const piece of stream) {
        taken += piece.length;
        ahead = Math.max(ahead, given - taken);
        yield piece;
      }
    }
    for await (const piece of decompressStream(counted(), { workers: 0, memoryBytes: 32 * 2 ** 20 })) {
      back += piece.length;
      ahead = Math.max(ahead, given - back);
    }
    expect(back).toBe(64 * 2 ** 20);
    expect(ahead).toBeLessThan(20 * 2 ** 20);
  });
});
