/**
 * Disks that fail under the journal: what was refused is not there, what was acknowledged is, and the chain
 * is whole.
 */
import { beforeEach, describe, expect, test } from "vitest";
import { type FailingFileSystem, type FaultKind, failingFileSystem } from "../src/files/failing.ts";
import { type MemoryFileSystem, memoryFileSystem } from "../src/files/memory.ts";
import { JOURNAL_START, Journal } from "../src/journal/journal.ts";
import type { JournalPosition } from "../src/model/entry.ts";
import { smallEntry } from "./journal-entries.ts";

const directory = "/store/journal";

let memory: MemoryFileSystem;
let files: FailingFileSystem;
let journal: Journal;
beforeEach(async () => {
  memory = memoryFileSystem();
  files = failingFileSystem(memory);
  journal = await Journal.open(files, directory);
});

const append = (to: Journal = journal): Promise<JournalPosition> =>
  to.append(smallEntry(to.position().sequence + 1));

async function sequences(of: Journal, from: JournalPosition = JOURNAL_START): Promise<(number | string)[]> {
  const found: (number | string)[] = [];
  for await (const item of of.read(from)) {
    if (!item.restart) expect(item.entry).toEqual(smallEntry(item.entry.sequence));
    found.push(item.restart ? "restart" : item.entry.sequence);
  }
  return found;
}

describe.each([
  ["a write that fails", { operation: "write", code: "EIO" }],
  ["a write that is cut short", { operation: "write", code: "ENOSPC", shortBytes: 70 }],
  ["a sync that fails", { operation: "sync", code: "EIO" }],
] as const)("%s", (_, fault) => {
  test.each([false, true])("abandons the segment (cutting it back fails, too: %s)", async (stubborn) => {
    await append();
    const before = await append();
    files.fail(fault);
    if (stubborn) files.fail({ operation: "truncate" });
    await expect(append()).rejects.toMatchObject({ tag: "storage", code: fault.code });
    expect(journal.position()).toEqual(before);
    // Another entry takes its sequence, in the next part.
    const after = await append();
    expect(after).toMatchObject({ sequence: 3, segment: "00000001-00000002.log" });
    await append();
    expect(await sequences(journal)).toEqual(["restart", 1, 2, 3, 4]);
    expect(await sequences(journal, before)).toEqual([3, 4]);
    const reopened = await Journal.open(memory, directory);
    expect(await reopened.recover()).toEqual(journal.position());
    expect(await sequences(reopened)).toEqual(["restart", 1, 2, 3, 4]);
  });
});

test("a reader that saw an entry whose sync failed starts over", async () => {
  await append();
  files.fail({ operation: "sync" });
  files.fail({ operation: "truncate" });
  await expect(append()).rejects.toMatchObject({ code: "EIO" });
  const reader = await Journal.open(memory, directory, { readOnly: true });
  const seen = reader.position();
  expect(seen.sequence).toBe(2);
  const other = smallEntry(2);
  await journal.append({ ...other, timeMs: 5 });
  const times: (number | string)[] = [];
  for await (const item of reader.read(seen)) times.push(item.restart ? "restart" : item.entry.timeMs);
  expect(times).toEqual(["restart", smallEntry(1).timeMs, 5]);
  expect(await reader.refresh()).toEqual(journal.position());
});

test("a part that was taken over before it got an entry, again and again", async () => {
  await append();
  for (let count = 0; count < 3; count++) {
    files.fail({ operation: "sync", after: count === 0 ? 1 : 2 });
    await expect(append()).rejects.toMatchObject({ code: "EIO" });
  }
  await append();
  expect(journal.position().segment).toBe("00000001-00000004.log");
  expect(await sequences(journal)).toEqual(["restart", 1, 2]);
  expect(await sequences(await Journal.open(memory, directory))).toEqual(["restart", 1, 2]);
});

const partFaults: readonly FaultKind[] = ["open", "write", "sync", "rename", "syncDirectory"];
test.each(partFaults)("a next part whose %s fails is tried again", async (operation) => {
  await append();
  files.fail({ operation: "sync" });
  await expect(append()).rejects.toMatchObject({ code: "EIO" });
  files.fail({ operation });
  await expect(append()).rejects.toMatchObject({ code: "EIO" });
  await append();
  await append();
  expect(journal.position()).toMatchObject({ sequence: 3, segment: "00000001-00000002.log" });
  expect(await sequences(journal)).toEqual(["restart", 1, 2, 3]);
  expect(memory.paths()).toHaveLength(2);
});

test.each(partFaults)("a first part whose %s fails is tried again", async (operation) => {
  files.fail({ operation });
  await expect(append()).rejects.toMatchObject({ code: "EIO" });
  await append();
  expect(await sequences(journal)).toEqual(["restart", 1]);
});

test("a full disk refuses every append and damages nothing", async () => {
  await append();
  files.fail({ operation: "write", code: "ENOSPC", shortBytes: 10, forGood: true });
  for (let count = 0; count < 5; count++) await expect(append()).rejects.toMatchObject({ code: "ENOSPC" });
  expect(memory.paths()).toHaveLength(1);
  files.heal();
  await append();
  expect(await sequences(journal)).toEqual(["restart", 1, 2]);
});

test("recovering fails loudly and can be tried again", async () => {
  await append();
  const file = await memory.open(`${directory}/${journal.position().segment}`, "write");
  await file.write(new Uint8Array([0x54, 0x43]), journal.position().offset);
  for (const operation of ["truncate", "sync", "syncDirectory"] as const) {
    const reopened = await Journal.open(files, directory);
    files.fail({ operation });
    await expect(reopened.recover()).rejects.toMatchObject({ code: "EIO" });
    expect((await reopened.recover()).sequence).toBe(1);
  }
  expect(await file.size()).toBe(journal.position().offset);
});
