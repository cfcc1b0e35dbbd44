/** Power cuts at every point of a small workload: the journal opens, and what was acknowledged is there. */
import { beforeAll, describe, expect, test } from "vitest";
import { memoryFileSystem } from "../src/files/memory.ts";
import {
  type CrashOptions,
  crashImage,
  type Operation,
  recordingFileSystem,
} from "../src/files/recording.ts";
import { JOURNAL_START, Journal } from "../src/journal/journal.ts";
import { smallEntry } from "./journal-entries.ts";

const directory = "/store/journal";

interface Workload {
  readonly log: readonly Operation[];
  /** Length of the log when each entry was acknowledged; the index is the sequence. */
  readonly acknowledged: readonly number[];
}

let workload: Workload;
beforeAll(async () => {
  const files = recordingFileSystem(memoryFileSystem());
  await files.makeDirectory("/store");
  await files.syncDirectory("/store");
  const journal = await Journal.open(files, directory, { partBytes: 700 });
  const acknowledged = [files.log.length];
  const append = async (): Promise<void> => {
    await journal.append(smallEntry(journal.position().sequence + 1));
    acknowledged.push(files.log.length);
  };
  for (let count = 0; count < 8; count++) await append();
  await journal.writeSnapshot([[{ op: "preset.drop", name: "p" }]], { timeMs: 1 });
  for (let count = 0; count < 2; count++) await append();
  await journal.dropOldGenerations();
  for (let count = 0; count < 5; count++) await append();
  workload = { log: files.log, acknowledged };
});

/** Opens what a crash left, checks it, appends to it and checks that. Returns the sequence that was found. */
async function check(count: number, options: CrashOptions): Promise<number> {
  const files = await crashImage(workload.log, count, options);
  const journal = await Journal.open(files, directory);
  const found = await journal.recover();
  const least = workload.acknowledged.findLastIndex((length) => length <= count);
  expect(found.sequence).toBeGreaterThanOrEqual(Math.max(0, least));
  // An entry that was not acknowledged may be there, but only the one that was being written.
  expect(found.sequence).toBeLessThanOrEqual(Math.max(0, least) + 1);
  await journal.append(smallEntry(found.sequence + 1));
  await journal.append(smallEntry(found.sequence + 2));
  const again = await Journal.open(files, directory);
  let sequence = 0;
  for await (const item of again.read(JOURNAL_START)) {
    if (item.restart || (item.snapshot && item.position.sequence === 0)) continue;
    if (!item.snapshot) {
      expect(item.entry).toEqual(smallEntry(sequence + 1));
    }
    sequence = item.position.sequence;
  }
  expect(sequence).toBe(found.sequence + 2);
  expect(files.paths().filter((path) => path.endsWith(".partial"))).toEqual([]);
  return found.sequence;
}

describe("after a power cut", () => {
  test("at any operation, with everything written", async () => {
    for (let count = 1; count <= workload.log.length; count++) await check(count, {});
    expect(await check(workload.log.length, {})).toBe(15);
  });

  test("at any operation, with everything lost that was not synced", async () => {
    for (let count = 1; count <= workload.log.length; count++) await check(count, { loseUnsynced: true });
    expect(await check(workload.log.length, { loseUnsynced: true })).toBe(15);
  });

  test("in the middle of any write, the rest missing or zero", async () => {
    let torn = 0;
    for (const [index, operation] of workload.log.entries()) {
      if (operation.kind !== "write") continue;
      const { length } = operation.bytes;
      const places = [0, 1, 3, 4, 20, 51, 52, 53, 70, length - 33, length - 32, length - 1];
      for (const tornBytes of new Set(places.filter((place) => place >= 0 && place < length))) {
        for (const tornRest of ["missing", "zeros"] as const) {
          await check(index + 1, { tornBytes, tornRest });
          torn++;
        }
      }
    }
    expect(torn).toBeGreaterThan(300);
  });
});
