/**
 * What a command runs in: its global options, its output, and its store, which is opened for it and closed behind it, however it ends.
 */
import type { Dataset, DatasetView, OpenOptions, Store } from "@tensorcask/core";
import { CommandUsageError } from "./failure.ts";
import type { GlobalOptions } from "./global-options.ts";
import type { Host, Sink } from "./host.ts";
import { type ShownProgress, startProgress } from "./progress.ts";

/** `read`: the store must exist and is not written. `write`: it must exist. `create`: it is made when it is not there. */
export type Access = "read" | "write" | "create";

/** Something records can be read from: a dataset as it is now, or one of its versions. */
export type Readable = Dataset | DatasetView;

/** Options of long calls, of stores and of streams. */
export interface CallOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: ShownProgress) => void;
}

/** What a command says about its end beside its output. */
export interface Outcome {
  /** Exit status of a command that ends without an error; `verify` sets it when it finds damage. */
  status: number;
  /** What Ctrl-C left, where that is not a store: `no file was written`. */
  left?: string;
  /** What to do after Ctrl-C. */
  afterInterruption?: string;
}

export class CommandContext {
  readonly host: Host;
  readonly options: GlobalOptions;
  readonly outcome: Outcome;

  constructor(host: Host, options: GlobalOptions, outcome: Outcome) {
    this.host = host;
    this.options = options;
    this.outcome = outcome;
  }

  get json(): boolean {
    return this.options.json === true;
  }

  get stdout(): Sink {
    return this.host.stdout;
  }

  get signal(): AbortSignal {
    return this.host.signal;
  }

  /** The store's directory; undefined when neither the option nor the environment names one. */
  get storeDirectory(): string | undefined {
    return this.options.store ?? (this.host.environment.TENSORCASK_STORE || undefined);
  }

  /** The store's directory. Throws `CommandUsageError` when none is named. */
  requireDirectory(): string {
    const directory = this.storeDirectory;
    if (directory === undefined || directory === "") {
      throw new CommandUsageError("store", "which store? give --store DIR or set TENSORCASK_STORE");
    }
    return directory;
  }

  /** Opens the store, runs, closes it. The error of `run` goes before one of closing. */
  async withStore<T>(access: Access, run: (store: Store) => Promise<T>): Promise<T> {
    const directory = this.requireDirectory();
    const engine = await this.host.engine();
    const store = await engine.openStore(directory, this.#openOptions(access));
    let failed = true;
    try {
      const result = await run(store);
      failed = false;
      return result;
    } finally {
      await store.close().catch((error: unknown) => {
        if (!failed) {
          throw error;
        }
      });
    }
  }

  #openOptions(access: Access): OpenOptions {
    const { memory, wait, workers } = this.options;
    return {
      create: access === "create",
      readOnly: access === "read",
      ...(memory === undefined ? {} : { memoryBytes: memory }),
      ...(wait === undefined ? {} : { waitMs: wait }),
      ...(workers === undefined ? {} : { workers }),
    };
  }

  /** The dataset of a name. Throws `NotFoundError`. */
  async dataset(store: Store, name: string): Promise<Dataset> {
    const dataset = await store.dataset(name);
    if (dataset === undefined) {
      const { NotFoundError } = await import("@tensorcask/codec");
      throw new NotFoundError("dataset", name, "tensorcask ls lists what there is");
    }
    return dataset;
  }

  /** A dataset as of a version or tag; as it is now when none is given. Throws `NotFoundError` and `VersionExpiredError`. */
  async readable(store: Store, name: string, version: number | string | undefined): Promise<Readable> {
    const dataset = await this.dataset(store, name);
    return version === undefined ? dataset : dataset.at(version);
  }

  /** Runs a long call with the signal of Ctrl-C and, on a terminal, a progress bar. */
  async longCall<T>(run: (options: CallOptions) => Promise<T>): Promise<T> {
    const progress = await startProgress(this.host.stderr, !this.json);
    const { signal } = this;
    try {
      return await run(progress === undefined ? { signal } : { signal, onProgress: progress.report });
    } finally {
      progress?.stop();
    }
  }

  /** Prints a result: as JSON with `--json`, else as lines. */
  async print(value: unknown, lines: () => readonly string[]): Promise<void> {
    await (this.json ? this.printJson(value) : this.printLines(lines()));
  }

  async printLines(lines: readonly string[]): Promise<void> {
    if (lines.length > 0) {
      await this.stdout.write(`${lines.join("\n")}\n`);
    }
  }

  /** One JSON document: indented for people, on one line in a pipe. */
  async printJson(value: unknown): Promise<void> {
    await this.stdout.write(`${JSON.stringify(value, null, this.stdout.isTerminal ? 2 : 0)}\n`);
  }

  /** Prints `{...head, [key]: [items], ...tail}` item by item, so that a list of millions is never in memory; `tail` is asked for behind the last. */
  async printJsonList(
    head: object,
    key: string,
    items: AsyncIterable<unknown>,
    tail: () => object = () => ({}),
  ): Promise<void> {
    const start = JSON.stringify(head).slice(0, -1);
    await this.stdout.write(`${start}${start === "{" ? "" : ","}${JSON.stringify(key)}:[`);
    let before = "";
    for await (const item of items) {
      this.signal.throwIfAborted();
      await this.stdout.write(before + JSON.stringify(item));
      before = ",\n";
      if (!this.stdout.open) {
        return;
      }
    }
    const end = JSON.stringify(tail()).slice(1);
    await this.stdout.write(`]${end === "}" ? "" : ","}${end}\n`);
  }
}
