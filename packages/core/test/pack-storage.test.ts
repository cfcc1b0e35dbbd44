import { dtypeOf, encodeFrame, parsePolicy, ready, sha256 } from "@tensorcask/codec";
import fc from "fast-check";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FailingFileSystem, failingFileSystem } from "../src/files/failing.ts";
import { type MemoryFileSystem, memoryFileSystem } from "../src/files/memory.ts";
import { crashImage, recordingFileSystem } from "../src/files/recording.ts";
import { isPackName, newPackName, PACK_HEADER_BYTES, packHeader } from "../src/pack/pack-header.ts";
import { FilePackStorage } from "../src/pack/pack-storage.ts";

beforeAll(ready);

const uint8 = dtypeOf("uint8");
const gzip = parsePolicy({ codec: "gzip" });
const raw = parsePolicy("none");

/** A frame whose chunk has this many bytes. */
function frameOfBytes(bytes: number, coded = false, seed = bytes): Uint8Array {
  const chunk = new Uint8Array(bytes).map((_, index) => (coded ? index % 3 : (index * 31 + seed) % 251));
  return encodeFrame({ hash: sha256(chunk), dtype: uint8, bytes: chunk, policy: coded ? gzip : raw });
}

let inner: MemoryFileSystem;
let files: FailingFileSystem;
let packs: FilePackStorage;
beforeEach(async () => {
  inner = memoryFileSystem();
  files = failingFileSystem(inner);
  packs = await FilePackStorage.open(files, "/store/packs", { openFiles: 2 });
});

describe("pack header", () => {
  test("golden bytes", () => {
    expect(Buffer.from(packHeader()).toString("hex")).toBe("5443504b000000000000000000000000");
  });

  test("names are sorted by time and cannot lead anywhere else", () => {
    const early = newPackName(1_000_000);
    const late = newPackName(1_700_000_000_000);
    expect(early < late).toBe(true);
    expect(late.length).toBe(26);
    expect(isPackName(late)).toBe(true);
    expect(newPackName(5)).not.toBe(newPackName(5));
    for (const bad of ["", "../../../../etc/passwd-0000", late.toLowerCase(), `${late}X`]) {
      expect(isPackName(bad)).toBe(false);
    }
  });

  test("another magic or version is refused by name", async () => {
    const name = newPackName();
    await inner.writeWhole(`/store/packs/${name}.pack`, Buffer.from("TCPK\u0001\0\0\0\0\0\0\0\0\0\0\0"));
    await expect(packs.readRange(name, 0, 1)).rejects.toThrow(/version 1 is newer/);
    await inner.writeWhole(`/store/packs/${name}.pack`, Buffer.from("GGUF\0\0\0\0\0\0\0\0\0\0\0\0"));
    await expect(packs.readRange(name, 0, 1)).rejects.toMatchObject({ tag: "damage", where: `pack ${name}` });
    await inner.writeWhole(`/store/packs/${name}.pack`, Buffer.from("TCPK"));
    await expect(packs.openTail(name, 4)).rejects.toThrow(/shorter than a pack's header/);
  });
});

describe("writing and reading", () => {
  test("an import pack has its name once it is sealed", async () => {
    const writer = await packs.create();
    expect(writer.bytes).toBe(PACK_HEADER_BYTES);
    const frames = [frameOfBytes(100), frameOfBytes(0), frameOfBytes(5000, true)];
    const placed = await writer.append(frames);
    expect(placed).toEqual({ offset: 16, bytes: frames.reduce((sum, { length }) => sum + length, 0) });
    expect(await packs.has(writer.name, 1)).toBe(false);
    expect(await packs.list()).toMatchObject([{ name: writer.name, partial: true }]);
    await writer.seal();
    expect(await packs.has(writer.name, writer.bytes)).toBe(true);
    expect(await packs.has(writer.name, writer.bytes + 1)).toBe(false);
    expect(await packs.list()).toMatchObject([{ name: writer.name, partial: false, bytes: writer.bytes }]);
    const read = await packs.readRange(writer.name, placed.offset, placed.bytes);
    expect(Buffer.from(read!).equals(Buffer.concat(frames))).toBe(true);
    await expect(writer.append(frames)).rejects.toMatchObject({ tag: "closed" });
    await writer.discard();
    expect(await packs.has(writer.name, 1)).toBe(true);
  });

  test("a tail pack is appended to again and again, from where it is committed", async () => {
    const first = await packs.createTail();
    await first.append([frameOfBytes(10)]);
    await first.sync();
    const committed = first.bytes;
    await first.append([frameOfBytes(20)]);
    await first.close();
    const again = await packs.openTail(first.name, committed);
    expect(again).toMatchObject({ bytes: committed, tail: true, full: false, failed: false });
    expect(await packs.has(first.name, committed + 1)).toBe(false);
    await again.append([frameOfBytes(30)]);
    await again.seal();
    const found = await packs.framesIn(first.name, 16, again.bytes - 16);
    expect(found.map(({ rawBytes }) => rawBytes)).toEqual([10, 30]);
    await expect(packs.openTail(first.name, again.bytes + 1)).rejects.toMatchObject({ tag: "damage" });
    await expect(packs.openTail(newPackName(), 16)).rejects.toMatchObject({ tag: "not-found", kind: "pack" });
  });

  test("many small and few large frames are written in order", async () => {
    const frames = [
      ...Array.from({ length: 300 }, (_, index) => frameOfBytes(index * 7)),
      frameOfBytes(400_000),
    ];
    frames.splice(100, 0, frameOfBytes(300_000, false, 5));
    const writer = await packs.create();
    const { offset, bytes } = await writer.append(frames);
    await writer.seal();
    const read = await packs.readRange(writer.name, offset, bytes);
    expect(Buffer.from(read!).equals(Buffer.concat(frames))).toBe(true);
  });

  test("a discarded import pack is gone, a discarded tail pack stays", async () => {
    const writer = await packs.create();
    await writer.discard();
    await writer.discard();
    const tail = await packs.createTail();
    await tail.discard();
    expect((await packs.list()).map(({ name }) => name)).toEqual([tail.name]);
  });

  test("what is gone is undefined, what is cut short is damage", async () => {
    const writer = await packs.createTail();
    await writer.append([frameOfBytes(10)]);
    await writer.close();
    expect(await packs.readRange(newPackName(), 0, 1)).toBeUndefined();
    await expect(packs.readRange(writer.name, 20, writer.bytes)).rejects.toThrow(/ends at/);
    await expect(packs.framesIn(newPackName(), 16, 10)).rejects.toMatchObject({ tag: "not-found" });
    await expect(packs.readRange("../../secret", 0, 1)).rejects.toMatchObject({ tag: "usage" });
    expect(await packs.drop(writer.name)).toBe(true);
    expect(await packs.drop(writer.name)).toBe(false);
    expect(await packs.readRange(writer.name, 16, 1)).toBeUndefined();
  });

  test("more packs than may stay open are read at the same time", async () => {
    const writers = await Promise.all(Array.from({ length: 8 }, () => packs.create()));
    for (const [index, writer] of writers.entries()) {
      await writer.append([new Uint8Array(100).fill(index)]);
      await writer.seal();
    }
    const reads = Array.from({ length: 200 }, async (_, index) => {
      const bytes = await packs.readRange(writers[index % 8]!.name, 16 + (index % 50), 50);
      expect([...new Set(bytes)]).toEqual([index % 8]);
    });
    const dropping = packs.readRange(writers[0]!.name, 16, 100);
    await packs.drop(writers[0]!.name);
    expect((await dropping)?.length).toBe(100);
    await Promise.all(reads.filter((_, index) => index % 8 !== 0));
    await Promise.allSettled(reads);
    await packs.close();
    expect((await packs.readRange(writers[1]!.name, 16, 1))?.length).toBe(1);
  });
});

describe("headers", () => {
  test("any frames are found where they are (property)", async () => {
    const lengths = fc.array(fc.oneof(fc.nat(300), fc.nat(5), fc.nat(70_000)), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(lengths, fc.boolean(), async (bytes, coded) => {
        const frames = bytes.map((length) => frameOfBytes(length, coded));
        const writer = await packs.create();
        const before = await writer.append([frameOfBytes(3)]);
        const placed = await writer.append(frames);
        await writer.append([frameOfBytes(4)]);
        await writer.seal();
        let offset = before.offset + before.bytes;
        const expected = frames.map((frame, index) => {
          const at = offset;
          offset += frame.length;
          return { offset: at, frameBytes: frame.length, rawBytes: bytes[index] };
        });
        const found = await packs.framesIn(writer.name, placed.offset, placed.bytes);
        expect(found.map(({ offset, frameBytes, rawBytes }) => ({ offset, frameBytes, rawBytes }))).toEqual(
          expected,
        );
        for (const [index, { hash, chain }] of found.entries()) {
          expect(Buffer.from(hash).equals(frames[index]!.subarray(16, 48))).toBe(true);
          expect(chain.length).toBe(frames[index]![13]);
        }
        const scanned = [];
        for await (const facts of packs.scanHeaders(writer.name, placed.offset, placed.bytes))
          scanned.push(facts);
        expect(scanned).toEqual(found);
      }),
      { numRuns: 40 },
    );
  });

  test("a range that is not made of frames is damage", async () => {
    const writer = await packs.create();
    const { offset, bytes } = await writer.append([frameOfBytes(100), frameOfBytes(200)]);
    await writer.seal();
    await expect(packs.framesIn(writer.name, offset, bytes - 1)).rejects.toThrow(/over the end of its range/);
    await expect(packs.framesIn(writer.name, offset + 1, bytes - 1)).rejects.toMatchObject({ tag: "damage" });
    await expect(packs.framesIn(writer.name, offset, bytes + 1)).rejects.toMatchObject({ tag: "damage" });
  });
});

describe("faults", () => {
  test.each(["write", "sync"] as const)(
    "after a failed %s the writer refuses further use",
    async (operation) => {
      const writer = await packs.createTail();
      await writer.append([frameOfBytes(10)]);
      await writer.sync();
      const committed = writer.bytes;
      files.fail({ operation, code: "EIO", shortBytes: 7 });
      const attempt = async (): Promise<void> => {
        await writer.append([frameOfBytes(50)]);
        await writer.sync();
      };
      await expect(attempt()).rejects.toMatchObject({ code: "EIO" });
      expect(writer.failed).toBe(true);
      await expect(attempt()).rejects.toMatchObject({ code: "EIO" });
      await expect(writer.sync()).rejects.toMatchObject({ code: "EIO" });
      await writer.discard();
      expect(await packs.framesIn(writer.name, 16, committed - 16)).toHaveLength(1);
    },
  );

  test("a seal that fails leaves no pack under its own name, and discard cleans up", async () => {
    for (const operation of ["sync", "rename"] as const) {
      const writer = await packs.create();
      await writer.append([frameOfBytes(10)]);
      files.fail({ operation });
      await expect(writer.seal()).rejects.toMatchObject({ code: "EIO" });
      expect(await packs.has(writer.name, 0)).toBe(false);
      await writer.discard();
    }
    files.fail({ operation: "write" });
    await expect(packs.create()).rejects.toMatchObject({ code: "EIO" });
    files.fail({ operation: "sync" });
    await expect(packs.createTail()).rejects.toMatchObject({ code: "EIO" });
    expect(await packs.list()).toEqual([]);
  });

  test("a sealed pack and a synced tail survive a power cut", async () => {
    const recorded = recordingFileSystem(memoryFileSystem());
    const storage = await FilePackStorage.open(recorded, "/packs");
    const sealed = await storage.create();
    await sealed.append([frameOfBytes(1000)]);
    await sealed.seal();
    const tail = await storage.createTail();
    await tail.append([frameOfBytes(10)]);
    await tail.sync();
    const committed = tail.bytes;
    await tail.append([frameOfBytes(20)]);
    const after = await crashImage(recorded.log, recorded.log.length, { loseUnsynced: true });
    const reopened = await FilePackStorage.open(after, "/packs");
    expect(await reopened.framesIn(sealed.name, 16, sealed.bytes - 16)).toHaveLength(1);
    expect((await reopened.openTail(tail.name, committed)).bytes).toBe(committed);
  });

  test("orphans are removed once they are old and their writer is gone", async () => {
    const known = await packs.createTail();
    const unknown = await packs.createTail();
    const alive = await packs.create();
    const deadName = newPackName();
    // No process has this number: pid_max is at most 2^22.
    await inner.writeWhole(`/store/packs/${deadName}.4999999.partial`, new Uint8Array(5));
    const stagingName = newPackName();
    await inner.writeWhole(`/store/packs/${stagingName}.pack.0123456789ab.partial`, new Uint8Array(5));
    await inner.writeWhole("/store/packs/README", new Uint8Array(5));
    const options = { known: new Set([known.name]), olderThanMs: 1000 };
    expect(await packs.removeOrphans({ ...options, now: Date.now() })).toEqual([]);
    const removed = await packs.removeOrphans({ ...options, now: Date.now() + 60_000 });
    expect(removed.sort()).toEqual([unknown.name, deadName, stagingName].sort());
    expect((await packs.list()).map(({ name }) => name).sort()).toEqual([known.name, alive.name].sort());
  });
});
