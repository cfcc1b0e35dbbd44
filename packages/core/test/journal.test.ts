import { DamageError, TensorcaskError } from "@tensorcask/codec";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { type FailingFileSystem, failingFileSystem } from "../src/files/failing.ts";
import { type MemoryFileSystem, memoryFileSystem } from "../src/files/memory.ts";
import { recordingFileSystem } from "../src/files/recording.ts";
import { JOURNAL_START, Journal } from "../src/journal/journal.ts";
import {
  ENTRY_OVERHEAD_BYTES,
  entryBytes,
  readSegmentHeader,
  segmentHeader,
  segmentName,
} from "../src/journal/segment.ts";
import type { Entry, JournalPosition, Op } from "../src/model/entry.ts";
import { smallEntry } from "./journal-entries.ts";

const directory = "/store/journal";
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

let memory: MemoryFileSystem;
let files: FailingFileSystem;
let journal: Journal;
beforeEach(async () => {
  memory = memoryFileSystem();
  files = failingFileSystem(memory);
  journal = await Journal.open(files, directory);
});

async function appendMany(to: Journal, count: number, padding = 0): Promise<JournalPosition[]> {
  const positions: JournalPosition[] = [];
  for (let left = count; left > 0; left--) {
    positions.push(await to.append(smallEntry(to.position().sequence + 1, padding)));
  }
  return positions;
}

/** What `read` gives: sequences of live entries, "s" for entries of a snapshot, "restart". */
async function readAll(of: Journal, from: JournalPosition = JOURNAL_START): Promise<(number | string)[]> {
  const found: (number | string)[] = [];
  for await (const item of of.read(from)) {
    if (item.restart) found.push("restart");
    else if (item.snapshot) found.push(`s${item.position.sequence}`);
    else {
      expect(item.position.sequence).toBe(item.entry.sequence);
      expect(item.entry.ops).toEqual(smallEntry(item.entry.sequence, paddingOf(item.entry)).ops);
      found.push(item.entry.sequence);
    }
  }
  return found;
}

function paddingOf(entry: Entry): number {
  const [op] = entry.ops;
  return op?.op === "version" ? op.note!.length - `entry ${entry.sequence}`.length : 0;
}

const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

async function change(name: string, edit: (bytes: Uint8Array) => Uint8Array | undefined): Promise<void> {
  const path = `${directory}/${name}`;
  const bytes = (await memory.readWhole(path, 1e9))!;
  await memory.writeWhole(path, edit(bytes) ?? bytes);
}

describe("bytes", () => {
  test("golden bytes of a segment's header", () => {
    const segment = {
      generation: 2,
      part: 3,
      snapshot: false,
      sequence: 258,
      hash: new Uint8Array(32).fill(0xcc),
    };
    const header = segmentHeader(segment);
    expect(hex(header)).toBe(
      `54434a4c0000000002000000030000000201000000000000${"cc".repeat(32)}d7bb2ca3f465ecaf`,
    );
    const name = segmentName(2, 3);
    expect(name).toBe("00000002-00000003.log");
    expect(readSegmentHeader(header, name, "journal")).toEqual({ ...segment, name });
    expect(hex(segmentHeader({ ...segment, snapshot: true, part: 0 })).slice(0, 32)).toBe(
      "54434a4c000001000200000000000000",
    );
  });

  test("golden bytes of an entry", () => {
    const { bytes, hash } = entryBytes(new Uint8Array([0x81, 0x00]), 258, new Uint8Array(32).fill(0xcc));
    expect(hex(bytes)).toBe(`54434a45020000000201000000000000${"cc".repeat(32)}ab4461c28100${hex(hash)}`);
    expect(hex(hash)).toBe("ae736ee6befce39b96309c8217d4c3a483872f2b4ad61255bd030156791d4366");
    expect(bytes.length).toBe(2 + ENTRY_OVERHEAD_BYTES);
    expect(hex(entryBytes(new Uint8Array(0), 1, hash, true).bytes).slice(0, 8)).toBe("54434a46");
  });

  test("headers that are not what was written are refused", () => {
    const header = segmentHeader({
      generation: 1,
      part: 1,
      snapshot: false,
      sequence: 1,
      hash: new Uint8Array(32),
    });
    const name = segmentName(1, 1);
    for (let at = 0; at < header.length; at++) {
      const changed = header.slice();
      changed[at]! ^= 1;
      expect(() => readSegmentHeader(changed, name, "journal")).toThrow(DamageError);
    }
    expect(() => readSegmentHeader(header, segmentName(1, 2), "journal")).toThrow(/written as/);
    expect(() => readSegmentHeader(header.subarray(0, 63), name, "journal")).toThrow(/shorter/);
    const newer = header.slice();
    newer[4] = 1;
    expect(() => readSegmentHeader(newer, name, "journal")).toThrow(/version 1 is newer/);
  });
});

describe("appending and reading", () => {
  test("an empty journal is at its start", async () => {
    expect(journal.position()).toEqual(JOURNAL_START);
    expect(await readAll(journal)).toEqual(["restart"]);
    expect(await journal.refresh()).toEqual(JOURNAL_START);
    expect(await journal.recover()).toEqual(JOURNAL_START);
    expect(await journal.bytes()).toBe(0);
  });

  test("entries come back in order, from any position", async () => {
    const positions = await appendMany(journal, 6);
    expect(positions.map(({ sequence }) => sequence)).toEqual(range(1, 6));
    expect(await readAll(journal)).toEqual(["restart", ...range(1, 6)]);
    for (const position of positions)
      expect(await readAll(journal, position)).toEqual(range(position.sequence + 1, 6));
    const reopened = await Journal.open(files, directory);
    expect(reopened.position()).toEqual(positions[5]);
    for (const hint of positions) {
      expect((await Journal.open(files, directory, { hint })).position()).toEqual(positions[5]);
    }
  });

  test("an append is one write and one sync", async () => {
    const recorded = recordingFileSystem(memoryFileSystem());
    const counting = await Journal.open(recorded, directory);
    await appendMany(counting, 1);
    const before = recorded.log.length;
    await appendMany(counting, 3);
    const kinds = recorded.log.slice(before).map(({ kind }) => kind);
    expect(kinds).toEqual(["write", "sync", "write", "sync", "write", "sync"]);
  });

  test("an entry out of order is refused", async () => {
    await appendMany(journal, 2);
    for (const sequence of [1, 2, 4]) {
      await expect(journal.append(smallEntry(sequence))).rejects.toMatchObject({
        tag: "usage",
        field: "sequence",
      });
    }
    await appendMany(journal, 1);
    const both = [journal.append(smallEntry(4)), journal.append(smallEntry(5))];
    expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(await readAll(journal)).toEqual(["restart", ...range(1, 4)]);
  });

  test("a part that is full is followed by the next one", async () => {
    const small = await Journal.open(files, "/small", { partBytes: 1000 });
    const positions = await appendMany(small, 30);
    const names = new Set(positions.map(({ segment }) => segment));
    expect(names.size).toBeGreaterThan(3);
    expect([...names][1]).toBe("00000001-00000002.log");
    expect(await readAll(small)).toEqual(["restart", ...range(1, 30)]);
    for (const position of positions) {
      const rest = range(position.sequence + 1, 30);
      expect(await readAll(small, position)).toEqual(rest);
      // The segment is not known any more: found by its sequence.
      expect(await readAll(small, { ...position, segment: "", offset: 0 })).toEqual(rest);
    }
    expect((await Journal.open(files, "/small")).position()).toEqual(positions[29]);
    expect(await small.bytes()).toBeGreaterThan(3000);
  });

  test("an entry larger than what is read at once", async () => {
    await appendMany(journal, 2);
    await appendMany(journal, 1, 3_000_000);
    await appendMany(journal, 2);
    expect(await readAll(journal)).toEqual(["restart", ...range(1, 5)]);
    expect((await Journal.open(files, directory)).position()).toEqual(journal.position());
  });

  test("one process follows another", async () => {
    const reader = await Journal.open(files, directory, { readOnly: true });
    expect(await reader.refresh()).toEqual(JOURNAL_START);
    await appendMany(journal, 2);
    expect(reader.position()).toEqual(JOURNAL_START);
    const at = await reader.refresh();
    expect(at).toEqual(journal.position());
    await appendMany(journal, 2);
    expect(await readAll(reader, at)).toEqual([3, 4]);
    await expect(reader.append(smallEntry(5))).rejects.toMatchObject({ field: "readOnly" });
    await expect(reader.recover()).rejects.toMatchObject({ field: "readOnly" });
  });

  test("two writers take turns, each recovering first", async () => {
    const other = await Journal.open(files, directory);
    for (let turn = 0; turn < 4; turn++) {
      const writer = turn % 2 === 0 ? journal : other;
      await writer.recover();
      await appendMany(writer, 2);
    }
    expect(await readAll(journal)).toEqual(["restart", ...range(1, 8)]);
    // Without recovering, the other's entries would be overwritten.
    await expect(journal.append(smallEntry(7))).rejects.toThrow(/recover\(\) before append\(\)/);
  });

  test("a closed journal says so", async () => {
    await appendMany(journal, 1);
    await journal.close();
    await journal.close();
    await expect(journal.append(smallEntry(2))).rejects.toMatchObject({ tag: "closed" });
    await expect(journal.refresh()).rejects.toMatchObject({ tag: "closed" });
    expect(() => journal.read(JOURNAL_START)).toThrow(/closed/);
  });
});

describe("snapshots", () => {
  const slices: readonly (readonly Op[])[] = [
    [{ op: "preset.drop", name: "a" }],
    [
      { op: "preset.drop", name: "b" },
      { op: "preset.drop", name: "c" },
    ],
  ];

  test("take the place of the entries before them", async () => {
    const before = await appendMany(journal, 5);
    const at = await journal.writeSnapshot(slices, { timeMs: 9 });
    expect(at).toMatchObject({ sequence: 5, hash: before[4]!.hash, segment: "00000002-00000000.log" });
    expect(await readAll(journal)).toEqual(["restart", "s0", "s0", "s5"]);
    expect(await readAll(journal, at)).toEqual([]);
    expect(await readAll(journal, before[4]!)).toEqual([]);
    expect(await readAll(journal, before[3]!)).toEqual(["restart", "s0", "s0", "s5"]);
    const ops: (readonly Op[])[] = [];
    for await (const item of journal.read(JOURNAL_START)) {
      if (!item.restart) ops.push(item.entry.ops);
    }
    expect(ops).toEqual([...slices, []]);
    await appendMany(journal, 2);
    expect(await readAll(journal)).toEqual(["restart", "s0", "s0", "s5", 6, 7]);
    expect(await readAll(journal, at)).toEqual([6, 7]);
    expect(await readAll(journal, before[4]!)).toEqual([6, 7]);
    expect(memory.paths()).toHaveLength(3);
    expect(await journal.dropOldGenerations()).toBeGreaterThan(64);
    expect(await journal.dropOldGenerations()).toBe(0);
    expect(memory.paths().map((path) => path.slice(directory.length + 1))).toEqual([
      "00000002-00000000.log",
      "00000002-00000001.log",
    ]);
    expect((await Journal.open(files, directory)).position()).toEqual(journal.position());
    expect(await readAll(journal, { ...before[4]! })).toEqual([6, 7]);
  });

  test("of an empty journal, and of asynchronous slices", async () => {
    await journal.writeSnapshot([], { timeMs: 1 });
    await appendMany(journal, 1);
    const at = await journal.writeSnapshot(
      (async function* () {
        yield* slices;
      })(),
      { timeMs: 1 },
    );
    expect(at.segment).toBe("00000003-00000000.log");
    const other = await Journal.open(files, directory);
    expect(other.position()).toEqual(at);
    expect(await readAll(other)).toEqual(["restart", "s0", "s0", "s1"]);
  });

  test("other processes find the new generation", async () => {
    const other = await Journal.open(files, directory);
    await appendMany(journal, 3);
    const old = await other.recover();
    await journal.writeSnapshot(slices, { timeMs: 1 });
    await appendMany(journal, 1);
    await journal.dropOldGenerations();
    expect(await readAll(other, old)).toEqual([4]);
    expect(await other.refresh()).toEqual(journal.position());
    await other.recover();
    await appendMany(other, 1);
    await journal.recover();
    expect(await readAll(journal)).toEqual(["restart", "s0", "s0", "s3", 4, 5]);
  });

  test("a reader whose generation is dropped under it goes on in the new one", async () => {
    const small = await Journal.open(files, "/small", { partBytes: 500 });
    await appendMany(small, 12);
    const found: (number | string)[] = [];
    for await (const item of small.read(JOURNAL_START)) {
      found.push(
        item.restart ? "restart" : item.snapshot ? `s${item.position.sequence}` : item.entry.sequence,
      );
      if (found.length === 3) {
        await small.writeSnapshot(slices, { timeMs: 1 });
        await appendMany(small, 1);
        await small.dropOldGenerations();
      }
    }
    // What was open is read on; then the rest of the old generation is gone.
    const again = found.lastIndexOf("restart");
    expect(again).toBeGreaterThan(3);
    expect(found.slice(1, again)).toEqual(range(1, again - 1));
    expect(found.slice(again)).toEqual(["restart", "s0", "s0", "s12", 13]);
  });

  test("large ones are written in pieces", async () => {
    const large = Array.from({ length: 20 }, (_, index): readonly Op[] => [
      { op: "preset.drop", name: `${index}${"y".repeat(300_000)}` },
    ]);
    await journal.writeSnapshot(large, { timeMs: 1 });
    expect(await readAll(journal)).toEqual(["restart", ...new Array(20).fill("s0"), "s0"]);
  });

  test("a cancelled or failed one leaves the journal as it was", async () => {
    await appendMany(journal, 2);
    const before = memory.paths();
    const signal = AbortSignal.abort(new Error("stop"));
    await expect(journal.writeSnapshot(slices, { timeMs: 1, signal })).rejects.toMatchObject({
      tag: "cancelled",
    });
    for (const operation of ["open", "write", "sync", "rename"] as const) {
      files.fail({ operation });
      await expect(journal.writeSnapshot(slices, { timeMs: 1 })).rejects.toMatchObject({ code: "EIO" });
      expect(memory.paths()).toEqual(before);
      await appendMany(journal, 1);
    }
    expect(await readAll(journal)).toEqual(["restart", ...range(1, 6)]);
  });

  test("one whose name may not be durable is found again before anything is appended", async () => {
    await appendMany(journal, 2);
    files.fail({ operation: "syncDirectory" });
    await expect(journal.writeSnapshot(slices, { timeMs: 1 })).rejects.toMatchObject({ code: "EIO" });
    await appendMany(journal, 1);
    expect(journal.position().segment).toBe("00000002-00000001.log");
    expect(await readAll(journal)).toEqual(["restart", "s0", "s0", "s2", 3]);
  });

  test("an incomplete snapshot is damage", async () => {
    await appendMany(journal, 2);
    const at = await journal.writeSnapshot(slices, { timeMs: 1 });
    const finalBytes = ENTRY_OVERHEAD_BYTES + 2;
    for (const cut of [1, finalBytes, finalBytes + 5]) {
      const copy = memory.copy();
      const file = await copy.open(`${directory}/${at.segment}`, "write");
      await file.truncate(at.offset - cut);
      const damaged = await Journal.open(copy, directory);
      await expect(readAll(damaged)).rejects.toMatchObject({ tag: "damage", where: `journal/${at.segment}` });
    }
    await change(at.segment, (bytes) => new Uint8Array([...bytes, 0]));
    await expect(readAll(journal)).rejects.toThrow(/entry/);
  });
});

describe("damage", () => {
  test("in the last entry is a torn entry; before it, it is damage that is named (property)", async () => {
    const positions = await appendMany(journal, 6);
    const { segment } = positions[5]!;
    const size = positions[5]!.offset;
    await fc.assert(
      fc.asyncProperty(fc.nat(size - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const copy = memory.copy();
        const file = await copy.open(`${directory}/${segment}`, "write");
        const byte = new Uint8Array(1);
        await file.read(byte, at);
        byte[0]! ^= flip;
        await file.write(byte, at);
        const outcome = await Journal.open(copy, directory)
          .then((opened) => readAll(opened))
          .catch((error: unknown) => error);
        if (at >= positions[4]!.offset) expect(outcome).toEqual(["restart", ...range(1, 5)]);
        else {
          expect(outcome).toBeInstanceOf(DamageError);
          expect((outcome as DamageError).where).toBe(`journal/${segment}`);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("a missing or foreign part is damage", async () => {
    const small = await Journal.open(files, "/small", { partBytes: 300 });
    await appendMany(small, 12);
    const gone = memory.copy();
    await gone.unlink("/small/00000001-00000002.log");
    await expect(readAll(await Journal.open(gone, "/small"))).rejects.toThrow(/begins with entry/);
    await gone.unlink("/small/00000001-00000001.log");
    await expect(Journal.open(gone, "/small")).rejects.toThrow(/expected 1/);
    const cut = memory.copy();
    const file = await cut.open("/small/00000001-00000002.log", "write");
    await file.truncate((await file.size()) - 1);
    await expect(readAll(await Journal.open(cut, "/small"))).rejects.toMatchObject({
      where: "journal/00000001-00000002.log",
    });
    await memory.writeWhole("/small/00000007-00000001.log", new Uint8Array(64));
    await expect(Journal.open(files, "/small")).rejects.toThrow(/no snapshot/);
  });

  test("an entry that belongs somewhere else is damage", async () => {
    await appendMany(journal, 1);
    const { bytes } = entryBytes(new Uint8Array([0x81, 0]), 2, new Uint8Array(32).fill(1));
    await change(journal.position().segment, (before) => Buffer.concat([before, bytes]));
    await expect(Journal.open(files, directory)).rejects.toThrow(/does not follow/);
  });

  test("a position that the journal never reached is an error, another history a restart", async () => {
    const positions = await appendMany(journal, 3);
    const beyond = { ...positions[2]!, sequence: 9 };
    await expect(readAll(journal, { ...beyond, offset: 99_999 })).rejects.toThrow(
      /commits are lost.*rebuild/,
    );
    expect(await readAll(journal, { ...positions[1]!, hash: new Uint8Array(32) })).toEqual([
      "restart",
      1,
      2,
      3,
    ]);
    const empty = await Journal.open(memoryFileSystem(), directory);
    await expect(readAll(empty, positions[2]!)).rejects.toBeInstanceOf(TensorcaskError);
  });
});
