/** The same behaviour is asked of the disk and of the file system in memory. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LimitError, StorageError } from "@tensorcask/codec";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { FileSystem } from "../src/files/file-system.ts";
import { memoryFileSystem } from "../src/files/memory.ts";
import { kindInMounts, kindOfMagic, mountedType, networkKind } from "../src/files/network.ts";
import { nodeFileSystem } from "../src/files/node.ts";

const scratch = mkdtempSync(join(tmpdir(), "tensorcask-files-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const systems: readonly (readonly [string, FileSystem])[] = [
  ["node", nodeFileSystem],
  ["memory", memoryFileSystem()],
];

describe.each(systems)("%s file system", (name, files) => {
  const root = join(scratch, name);
  const path = (...parts: string[]): string => join(root, ...parts);
  beforeAll(() => files.makeDirectory(root));

  async function put(at: string, text: string): Promise<void> {
    const file = await files.open(at, "create");
    await file.write(Buffer.from(text), 0);
    await file.close();
  }

  test("reads what was written, as far as the file goes", async () => {
    const file = await files.open(path("a"), "create");
    await file.write(new Uint8Array([1, 2, 3]), 0);
    await file.write(new Uint8Array([9]), 5);
    await file.sync();
    expect(await file.size()).toBe(6);
    const into = new Uint8Array(10).fill(7);
    expect(await file.read(into, 1)).toBe(5);
    expect([...into]).toEqual([2, 3, 0, 0, 9, 7, 7, 7, 7, 7]);
    expect(await file.read(into, 6)).toBe(0);
    expect(await file.read(into, 100)).toBe(0);
    await file.truncate(2);
    await file.truncate(4);
    expect(await file.read(into.fill(7), 0)).toBe(4);
    expect([...into.subarray(0, 4)]).toEqual([1, 2, 0, 0]);
    await file.close();
  });

  test("takes and fills views over shared memory", async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(64), 3, 5).fill(8);
    const file = await files.open(path("shared"), "create");
    await file.write(shared, 0);
    shared.fill(0);
    expect(await file.read(shared, 0)).toBe(5);
    expect([...shared]).toEqual([8, 8, 8, 8, 8]);
    await file.close();
  });

  test("refuses what does not exist and what exists, by errno", async () => {
    await put(path("taken"), "x");
    await expect(files.open(path("missing"), "read")).rejects.toMatchObject({
      tag: "storage",
      code: "ENOENT",
    });
    await expect(files.open(path("missing"), "write")).rejects.toMatchObject({ code: "ENOENT" });
    await expect(files.open(path("taken"), "create")).rejects.toMatchObject({ code: "EEXIST" });
    await expect(files.open(path("no", "such"), "create")).rejects.toMatchObject({ code: "ENOENT" });
    await expect(files.rename(path("missing"), path("b"))).rejects.toBeInstanceOf(StorageError);
    await expect(files.list(path("missing"))).rejects.toMatchObject({ operation: "list" });
    const reading = await files.open(path("taken"), "read");
    await expect(reading.write(new Uint8Array(1), 0)).rejects.toMatchObject({ operation: "write" });
    await reading.close();
  });

  test("missing things are undefined or false where one asks", async () => {
    expect(await files.stat(path("missing"))).toBeUndefined();
    expect(await files.exists(path("missing"))).toBe(false);
    expect(await files.unlink(path("missing"))).toBe(false);
    expect(await files.readWhole(path("missing"), 10)).toBeUndefined();
  });

  test("puts whole files in place and leaves no staging file", async () => {
    await files.makeDirectory(path("whole", "deep"));
    await files.makeDirectory(path("whole", "deep"));
    await files.writeWhole(path("whole", "f"), Buffer.from("one"));
    await files.writeWhole(path("whole", "f"), Buffer.from("three"));
    expect(Buffer.from((await files.readWhole(path("whole", "f"), 5))!).toString()).toBe("three");
    await expect(files.readWhole(path("whole", "f"), 4)).rejects.toBeInstanceOf(LimitError);
    const entries = await files.list(path("whole"));
    expect(entries.map((entry) => [entry.name, entry.kind, entry.bytes])).toEqual([
      ["deep", "directory", 0],
      ["f", "file", 5],
    ]);
    expect(Math.abs(entries[1]!.modifiedMs - Date.now())).toBeLessThan(60_000);
    await files.syncDirectory(path("whole"));
    expect((await files.stat(path("whole")))?.kind).toBe("directory");
  });

  test("a file that is removed or replaced stays readable where it is open", async () => {
    await put(path("old"), "old");
    await put(path("new"), "new");
    const file = await files.open(path("old"), "read");
    await files.rename(path("new"), path("old"));
    expect(await files.unlink(path("old"))).toBe(true);
    const into = new Uint8Array(3);
    expect(await file.read(into, 0)).toBe(3);
    expect(Buffer.from(into).toString()).toBe("old");
    await file.close();
    await expect(file.read(into, 0)).rejects.toBeInstanceOf(StorageError);
  });

  test("is not a network file system here", async () => {
    expect(await files.networkKind(path("not", "there", "yet"))).toBeUndefined();
  });
});

test("a copy of a file system in memory changes on its own", async () => {
  const files = memoryFileSystem();
  await files.makeDirectory("/s");
  await files.writeWhole("/s/f", new Uint8Array([1]));
  const copy = files.copy();
  await files.writeWhole("/s/f", new Uint8Array([2]));
  await copy.unlink("/s/f");
  expect([...(await files.readWhole("/s/f", 9))!]).toEqual([2]);
  expect(copy.paths()).toEqual([]);
});

describe("network file systems", () => {
  test("are known by their statfs numbers", () => {
    expect(kindOfMagic(0x6969)).toBe("nfs");
    expect(kindOfMagic(0xff534d42)).toBe("cifs");
    expect(kindOfMagic(0xff534d42 | 0)).toBe("cifs");
    expect(kindOfMagic(0xef53)).toBeUndefined();
  });

  test("the mount table tells FUSE types apart", () => {
    const table = [
      "22 1 8:1 / / rw,relatime - ext4 /dev/vda rw",
      "40 22 0:40 / /mnt/my\\040disk rw - fuse.sshfs me@host:/ rw",
      "41 22 0:41 / /mnt rw - fuseblk /dev/sdb rw",
    ].join("\n");
    expect(mountedType(table, "/mnt/my disk/store")).toBe("fuse.sshfs");
    expect(mountedType(table, "/mnt/my diskette")).toBe("fuseblk");
    expect(mountedType(table, "/home")).toBe("ext4");
    expect(mountedType("", "/home")).toBeUndefined();
  });

  test("macOS names them in the output of mount", () => {
    const output = [
      "/dev/disk3s1 on / (apfs, sealed, local)",
      "//me@nas/share on /Volumes/share (smbfs, nodev)",
    ].join("\n");
    expect(kindInMounts(output, "/Volumes/share/zoo")).toBe("smbfs");
    expect(kindInMounts(output, "/Users/me")).toBeUndefined();
  });

  test("a directory of the local disk is none", async () => {
    writeFileSync(join(scratch, "plain"), "");
    expect(await networkKind(scratch)).toBeUndefined();
  });
});
