/**
 * The test file systems themselves: what they log, replay and break. And the reserve, which needs a full
 * disk.
 */
import { equalBytes } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import { failingFileSystem } from "../src/files/failing.ts";
import { memoryFileSystem } from "../src/files/memory.ts";
import { crashImage, recordingFileSystem } from "../src/files/recording.ts";
import { RESERVE_BYTES, ReserveFile } from "../src/files/reserve.ts";

describe("crash images", () => {
  async function workload() {
    const files = recordingFileSystem(memoryFileSystem());
    await files.makeDirectory("/d");
    const file = await files.open("/d/a", "create");
    await file.write(new Uint8Array([1, 2, 3, 4]), 0);
    await file.sync();
    await files.syncDirectory("/d");
    await file.write(new Uint8Array([5, 6, 7, 8]), 2);
    await file.close();
    return files.log;
  }

  test("every prefix can be replayed", async () => {
    const log = await workload();
    expect(log.map(({ kind }) => kind)).toEqual([
      "makeDirectory",
      "create",
      "write",
      "sync",
      "syncDirectory",
      "write",
    ]);
    const read = async (count: number, options = {}): Promise<number[] | undefined> => {
      const content = await (await crashImage(log, count, options)).readWhole("/d/a", 100);
      return content === undefined ? undefined : [...content];
    };
    expect(await read(1)).toBeUndefined();
    expect(await read(2)).toEqual([]);
    expect(await read(3)).toEqual([1, 2, 3, 4]);
    expect(await read(3, { tornBytes: 1 })).toEqual([1]);
    expect(await read(6)).toEqual([1, 2, 5, 6, 7, 8]);
    expect(await read(6, { tornBytes: 1 })).toEqual([1, 2, 5, 4]);
    expect(await read(6, { tornBytes: 1, tornRest: "zeros" })).toEqual([1, 2, 5, 0, 0, 0]);
  });

  test("what was not synced can be lost", async () => {
    const log = await workload();
    const image = await crashImage(log, 6, { loseUnsynced: true });
    expect([...(await image.readWhole("/d/a", 100))!]).toEqual([1, 2, 3, 4]);
    expect((await crashImage(log, 4, { loseUnsynced: true })).paths()).toEqual([]);
  });

  test("a rename keeps the file's content and later writes", async () => {
    const files = recordingFileSystem(memoryFileSystem());
    const file = await files.open("a", "create");
    await files.rename("a", "b");
    await file.write(new Uint8Array([1]), 0);
    await files.writeWhole("c", new Uint8Array([2]));
    await files.unlink("c");
    const image = await crashImage(files.log, files.log.length);
    expect(image.paths()).toEqual(["b"]);
    expect([...(await image.readWhole("b", 9))!]).toEqual([1]);
  });
});

describe("failing file system", () => {
  test("fails the operation it is told to, once", async () => {
    const files = failingFileSystem(memoryFileSystem());
    const file = await files.open("a", "create");
    files.fail({ operation: "write", after: 2, shortBytes: 1, code: "ENOSPC" });
    await file.write(new Uint8Array([1, 2]), 0);
    await expect(file.write(new Uint8Array([3, 4]), 2)).rejects.toMatchObject({ code: "ENOSPC" });
    expect(await file.size()).toBe(3);
    await file.write(new Uint8Array([3, 4]), 2);
    expect(files.failures).toBe(1);
  });

  test("fails for good until it heals, and only where told", async () => {
    const files = failingFileSystem(memoryFileSystem(), [{ operation: "sync", path: "bad", forGood: true }]);
    const bad = await files.open("bad", "create");
    const good = await files.open("good", "create");
    await expect(bad.sync()).rejects.toMatchObject({ code: "EIO", operation: "sync" });
    await expect(bad.sync()).rejects.toMatchObject({ code: "EIO" });
    await good.sync();
    files.heal();
    await bad.sync();
  });

  test.each(["sync", "write", "rename"] as const)(
    "a whole file that fails to %s leaves nothing",
    async (operation) => {
      const inner = memoryFileSystem();
      const files = failingFileSystem(inner, [{ operation }]);
      await expect(files.writeWhole("w", new Uint8Array(9))).rejects.toMatchObject({ code: "EIO" });
      expect(inner.paths()).toEqual([]);
    },
  );
});

describe("reserve", () => {
  test("is made of bytes that no file system leaves out, given up and put back", async () => {
    const files = memoryFileSystem();
    const reserve = new ReserveFile(files, "reserve");
    expect(await reserve.release()).toBe(false);
    expect(await reserve.restore()).toBe(true);
    const content = (await files.readWhole("reserve", RESERVE_BYTES))!;
    expect(content.length).toBe(RESERVE_BYTES);
    expect(new Set(content).size).toBe(256);
    expect(await reserve.restore()).toBe(true);
    expect(equalBytes((await files.readWhole("reserve", RESERVE_BYTES))!, content)).toBe(true);
    expect(await reserve.present()).toBe(true);
    expect(await reserve.release()).toBe(true);
    expect(await reserve.present()).toBe(false);
  });

  test("is not there while the disk has no room, and leaves nothing behind", async () => {
    const inner = memoryFileSystem();
    const files = failingFileSystem(inner, [{ operation: "write", code: "ENOSPC", shortBytes: 99 }]);
    const reserve = new ReserveFile(files, "reserve");
    expect(await reserve.restore()).toBe(false);
    expect(inner.paths()).toEqual([]);
    expect(await reserve.restore()).toBe(true);
    files.fail({ operation: "sync", code: "EIO" });
    await reserve.release();
    await expect(reserve.restore()).rejects.toMatchObject({ code: "EIO" });
  });
});
