/**
 * The world outside as a command sees it: where text goes, the environment, the signal of Ctrl-C and the store engine. Commands touch
 * nothing else of the process, so a test hands in its own and looks at what came out.
 */
import type { LongCallOptions, OpenOptions, Store } from "@tensorcask/core";

/** Exit status of a process ended by a signal, as shells count: 128 + its number. */
export const signalStatus: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 };

/** A place that text and bytes go to. */
export interface Sink {
  readonly isTerminal: boolean;
  /** The stream itself where there is one: progress bars draw on it. */
  readonly stream?: NodeJS.WritableStream;
  /** False once the reader has gone (`| head`): what is written then is dropped. */
  readonly open: boolean;
  /** Resolves when there is room for more. */
  write(data: string | Uint8Array): Promise<void>;
}

/** What a command needs of `@tensorcask/core` to begin with. */
export interface Engine {
  openStore(directory: string, options?: OpenOptions): Promise<Store>;
  rebuildStore(
    directory: string,
    options?: LongCallOptions & { readonly waitMs?: number },
  ): Promise<{ readonly entries: number; readonly chunks: number; readonly seconds: number }>;
}

export interface Host {
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** Standard input, from where it is. Commands that read none leave it alone. */
  stdin(): AsyncIterable<Uint8Array>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborts on Ctrl-C. Its reason is the name of the signal (`SIGINT`, `SIGTERM`). */
  readonly signal: AbortSignal;
  /** Loads the engine; only commands that open a store call it, so that the others start without it. */
  engine(): Promise<Engine>;
}
