/**
 * A temporary folder with a store in it, and two ways to run commands there: as a process of its own (what users do), or in this process
 * (much faster).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { run } from "../src/run.ts";
import { type FakeHost, fakeHost } from "./fake-host.ts";

const main = resolve(import.meta.dirname, "../bin/tensorcask.js");

/** The models that come with the project. */
export const data: string = resolve(import.meta.dirname, "../../../examples/data");

/** What a command left. */
export class Ran {
  readonly status: number;
  readonly stderr: string;
  readonly #output: Uint8Array;

  constructor(status: number, output: Uint8Array, stderr: string) {
    this.status = status;
    this.stderr = stderr;
    this.#output = output;
  }

  /** Standard output as bytes. */
  get bytes(): Uint8Array {
    return this.#output;
  }

  get stdout(): string {
    return Buffer.from(this.#output).toString();
  }

  /** Standard output as JSON. */
  get json(): unknown {
    return JSON.parse(this.stdout);
  }

  /** The output of a command that must have gone well. */
  checked(): Ran {
    if (this.status !== 0 || this.stderr !== "") {
      throw new Error(`exit status ${this.status}\n${this.stderr}${this.stdout}`);
    }
    return this;
  }
}

export interface Workplace {
  readonly folder: string;
  readonly store: string;
  path(...parts: string[]): string;
  /** Runs a command in a process of its own. */
  command(...argv: string[]): Promise<Ran>;
  /** Starts a command and leaves it running. */
  start(...argv: string[]): { readonly child: ChildProcess; readonly ended: Promise<Ran> };
  /** Runs a command in this process, without workers. */
  inside(...argv: string[]): Promise<Ran>;
  /** The same on a terminal. */
  onTerminal(...argv: string[]): Promise<Ran>;
  remove(): Promise<void>;
}

export async function workplace(): Promise<Workplace> {
  const folder = await mkdtemp(join(tmpdir(), "tensorcask-cli-"));
  const store = join(folder, "store");

  const start = (...argv: string[]): { readonly child: ChildProcess; readonly ended: Promise<Ran> } => {
    const environment = { ...process.env, TENSORCASK_STORE: store };
    const child = spawn(process.execPath, [main, ...argv], { cwd: folder, env: environment });
    const output: Buffer[] = [];
    let stderr = "";
    child.stdout.on("data", (piece) => output.push(piece));
    child.stderr.on("data", (piece) => {
      stderr += piece;
    });
    const ended = new Promise<Ran>((resolveEnd, reject) => {
      child.on("error", reject);
      child.on("close", (status, signal) =>
        resolveEnd(
          new Ran(status ?? -1, Buffer.concat(output), signal === null ? stderr : `${stderr}${signal}`),
        ),
      );
    });
    return { child, ended };
  };

  const inside = async (terminal: boolean, argv: readonly string[]): Promise<Ran> => {
    const host: FakeHost = {
      ...fakeHost({ terminal, environment: { TENSORCASK_STORE: store } }),
      engine: () => import("@tensorcask/core"),
    };
    const status = await run(["--workers", "0", ...argv], host);
    return new Ran(status, host.stdout.bytes(), host.stderr.text());
  };

  return {
    folder,
    store,
    path: (...parts) => join(folder, ...parts),
    start,
    command: (...argv) => start(...argv).ended,
    inside: (...argv) => inside(false, argv),
    onTerminal: (...argv) => inside(true, argv),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
