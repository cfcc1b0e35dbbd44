/**
 * Run by lock.test.ts as a process of its own: `node lock-child.ts <directory> hold` takes the lock, says so
 * and keeps it; `... count <times>` adds one to the number in the file `counter`, so many times, each time
 * under the lock.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { WriterLock } from "../src/files/lock.ts";

const [directory, mode, times] = process.argv.slice(2) as [string, string, string | undefined];
const lock = WriterLock.open(directory);
if (mode === "hold") {
  await lock.acquire();
  process.stdout.write("held\n");
  await sleep(60_000);
} else {
  process.stdout.write("started\n");
  const counter = join(directory, "counter");
  for (let index = 0; index < Number(times); index++) {
    const lease = await lock.acquire({ waitMs: 20_000 });
    const before = Number(readFileSync(counter, "utf8"));
    // Gives the other process every chance to come in between.
    await sleep(1);
    writeFileSync(counter, String(before + 1));
    lease.release();
  }
  lock.close();
}
