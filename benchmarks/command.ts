/**
 * The `tensorcask` command as a process of its own: what a user of the command waits for, and how much memory it takes, measured from outside.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const main = join(import.meta.dirname, "..", "packages", "cli", "bin", "tensorcask.js");

/** How often the kernel's high-water mark is read; it only rises, so what is missed is the end of the last stretch. */
const SAMPLE_MS = 5;

export interface CommandOptions {
  /** Only run on these cores, such as `0` or `0,1` (needs `taskset`). */
  readonly cores?: string;
  /** Read the peak of the resident memory (Linux only). */
  readonly memory?: boolean;
}

export interface CommandResult {
  readonly seconds: number;
  readonly output: Buffer;
  /** Highest resident memory, in bytes; undefined where the system does not say. */
  readonly peakBytes: number | undefined;
}

/** Runs `tensorcask` with these arguments. Throws with what it said when it fails. */
export async function tensorcask(
  parameters: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return runProcess(process.execPath, [main, ...parameters], options);
}

/** Runs a program to its end. */
export async function runProcess(
  program: string,
  parameters: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const pinned = options.cores === undefined ? [] : ["taskset", "-c", options.cores];
  const [file, ...rest] = [...pinned, program, ...parameters];
  const started = performance.now();
  const child = spawn(file!, rest, { stdio: ["ignore", "pipe", "pipe"] });
  let peakBytes: number | undefined;
  const sample = (): void => {
    peakBytes = highWaterMark(child.pid) ?? peakBytes;
  };
  const timer = options.memory === true ? setInterval(sample, SAMPLE_MS) : undefined;
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on("data", (data: Buffer) => output.push(data));
  child.stderr.on("data", (data: Buffer) => errors.push(data));
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    const seconds = (performance.now() - started) / 1000;
    if (status !== 0) {
      throw new Error(
        `${parameters.slice(1, 2).join(" ")} ended with ${status}: ${Buffer.concat(errors).toString()}`,
      );
    }
    return { seconds, output: Buffer.concat(output), peakBytes };
  } finally {
    clearInterval(timer);
  }
}

/** VmHWM of a process, in bytes. */
function highWaterMark(pid: number | undefined): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const found = /^VmHWM:\s+(\d+) kB/m.exec(status);
    return found === null ? undefined : Number(found[1]) * 1024;
  } catch {
    // It is over, or this is not Linux.
    return undefined;
  }
}
