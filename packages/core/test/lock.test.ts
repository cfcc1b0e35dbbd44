import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CancelledError, ClosedError, LockTimeoutError, StorageError } from "@tensorcask/codec";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LOCK_FILES, WriterLock } from "../src/files/lock.ts";

let directory: string;
let children: ChildProcess[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tensorcask-lock-"));
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  children = [];
  rmSync(directory, { recursive: true, force: true });
});

/** Starts lock-child.ts and waits for its first word. */
async function start(...words: string[]): Promise<ChildProcess> {
  const script = join(import.meta.dirname, "lock-child.ts");
  const child = spawn(process.execPath, [script, directory, ...words], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  await once(child.stdout!, "data");
  return child;
}

describe("among processes", () => {
  test("a holder is named to those who wait too long, and frees the lock by dying", async () => {
    const child = await start("hold");
    const lock = WriterLock.open(directory);
    const failure = await lock.acquire({ waitMs: 30 }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(LockTimeoutError);
    expect((failure as LockTimeoutError).holderPid).toBe(child.pid);
    expect((failure as LockTimeoutError).waitedMs).toBeGreaterThanOrEqual(30);
    expect((failure as Error).message).toContain(String(child.pid));

    const waiting = lock.acquire({ waitMs: 10_000 });
    child.kill("SIGKILL");
    const lease = await waiting;
    expect(lease.changedHands).toBe(true);
    lease.release();
    lock.close();
  });

  test("two processes take turns", async () => {
    writeFileSync(join(directory, "counter"), "0");
    const both = await Promise.all([start("count", "25"), start("count", "25")]);
    const codes = await Promise.all(
      both.map(async (child) => (child.exitCode === null ? (await once(child, "exit"))[0] : child.exitCode)),
    );
    expect(codes).toEqual([0, 0]);
    expect(readFileSync(join(directory, "counter"), "utf8")).toBe("50");
  });

  test("leaves only its own small files", async () => {
    const lock = WriterLock.open(directory);
    expect(readdirSync(directory)).toEqual([]);
    const lease = await lock.acquire();
    expect(readdirSync(directory).sort()).toEqual([...LOCK_FILES].sort());
    expect(readFileSync(join(directory, "lock.pid"), "utf8")).toMatch(
      new RegExp(`^${process.pid} [0-9a-f]{32} *\n$`),
    );
    lease.release();
    lock.close();
    expect(readdirSync(directory).sort()).toEqual([...LOCK_FILES].sort());
  });

  test("a directory that is not there is a storage error", async () => {
    const lock = WriterLock.open(join(directory, "missing"));
    await expect(lock.acquire()).rejects.toBeInstanceOf(StorageError);
    lock.close();
  });
});

describe.each([
  ["on disk", () => WriterLock.open(directory)],
  ["in memory", () => WriterLock.inMemory()],
])("within a process, %s", (_, open) => {
  test("callers queue in order, one at a time", async () => {
    const lock = open();
    const order: number[] = [];
    let inside = 0;
    await Promise.all(
      Array.from({ length: 20 }, async (_each, index) => {
        const lease = await lock.acquire();
        expect(++inside).toBe(1);
        order.push(index);
        await Promise.resolve();
        inside--;
        lease.release();
        lease.release();
      }),
    );
    expect(order).toEqual(Array.from({ length: 20 }, (_each, index) => index));
    lock.close();
  });

  test("says whether anybody else held it", async () => {
    const lock = open();
    const held: boolean[] = [];
    for (let index = 0; index < 3; index++) {
      const lease = await lock.acquire();
      held.push(lease.changedHands);
      lease.release();
    }
    expect(held).toEqual([true, false, false]);
    const failed = await lock.acquire();
    failed.invalidate();
    failed.release();
    failed.invalidate();
    for (const expected of [true, false]) {
      const lease = await lock.acquire();
      expect(lease.changedHands).toBe(expected);
      lease.release();
    }
    lock.close();
  });

  test("who waits in line can time out or be cancelled; the line goes on", async () => {
    const lock = open();
    const first = await lock.acquire();
    const late = lock.acquire({ waitMs: 10 });
    const controller = new AbortController();
    const cancelled = lock.acquire({ signal: controller.signal });
    const last = lock.acquire();
    await expect(late).rejects.toMatchObject({ tag: "lock-timeout", holderPid: process.pid });
    controller.abort(new Error("no longer"));
    await expect(cancelled).rejects.toBeInstanceOf(CancelledError);
    await expect(lock.acquire({ signal: controller.signal })).rejects.toBeInstanceOf(CancelledError);
    first.release();
    (await last).release();
    lock.close();
  });

  test("closing refuses those who wait, and the held lease ends well", async () => {
    const lock = open();
    const lease = await lock.acquire();
    const waiting = lock.acquire();
    lock.close();
    await expect(waiting).rejects.toBeInstanceOf(ClosedError);
    await expect(lock.acquire()).rejects.toBeInstanceOf(ClosedError);
    lease.release();
    lock.close();
  });
});

test("two locks on one directory exclude each other and notice each other", async () => {
  const left = WriterLock.open(directory);
  const right = WriterLock.open(directory);
  const lease = await left.acquire();
  await expect(right.acquire({ waitMs: 0 })).rejects.toMatchObject({ holderPid: process.pid });
  const controller = new AbortController();
  const cancelled = right.acquire({ signal: controller.signal });
  setTimeout(() => controller.abort(), 5);
  await expect(cancelled).rejects.toBeInstanceOf(CancelledError);
  const waiting = right.acquire();
  lease.release();
  const second = await waiting;
  expect(second.changedHands).toBe(true);
  second.release();
  const third = await left.acquire();
  expect(third.changedHands).toBe(true);
  third.release();
  left.close();
  right.close();
});

test("one that takes the lock all the time does not starve another", async () => {
  const busy = WriterLock.open(directory);
  const other = WriterLock.open(directory);
  let stop = false;
  const spinning = (async () => {
    while (!stop) {
      const lease = await busy.acquire();
      await new Promise((fulfil) => setTimeout(fulfil, 1));
      lease.release();
    }
  })();
  await new Promise((fulfil) => setTimeout(fulfil, 20));
  for (let index = 0; index < 5; index++) (await other.acquire({ waitMs: 1000 })).release();
  stop = true;
  await spinning;
  busy.close();
  other.close();
});
