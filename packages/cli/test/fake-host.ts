/** A host whose output is kept, and stores that are whatever a test hands in. */
import type { Store } from "@tensorcask/core";
import type { Engine, Host, Sink } from "../src/host.ts";

export interface KeptSink extends Sink {
  text(): string;
  bytes(): Uint8Array;
}

function keptSink(isTerminal: boolean): KeptSink {
  const written: Buffer[] = [];
  return {
    isTerminal,
    open: true,
    async write(data) {
      written.push(Buffer.from(data));
    },
    text: () => Buffer.concat(written).toString(),
    bytes: () => Buffer.concat(written),
  };
}

export interface FakeHost extends Host {
  readonly stdout: KeptSink;
  readonly stderr: KeptSink;
  readonly controller: AbortController;
  /** What `openStore` was called with. */
  readonly opened: { readonly directory: string; readonly options: object }[];
  /** How many stores were closed. */
  closed: number;
}

export interface FakeHostOptions {
  readonly terminal?: boolean;
  readonly environment?: Record<string, string>;
  /** The parts of a store that the command under test uses. */
  readonly store?: object;
  readonly rebuildStore?: Engine["rebuildStore"];
  /** What comes from standard input. */
  readonly stdin?: readonly Uint8Array[];
}

export function fakeHost(options: FakeHostOptions = {}): FakeHost {
  const controller = new AbortController();
  const host: FakeHost = {
    stdout: keptSink(options.terminal === true),
    stderr: keptSink(options.terminal === true),
    async *stdin() {
      yield* options.stdin ?? [];
    },
    environment: options.environment ?? { TENSORCASK_STORE: "zoo" },
    signal: controller.signal,
    controller,
    opened: [],
    closed: 0,
    async engine() {
      return {
        async openStore(directory, openOptions = {}) {
          host.opened.push({ directory, options: openOptions });
          const close = async (): Promise<void> => {
            host.closed += 1;
          };
          return { close, ...options.store } as unknown as Store;
        },
        rebuildStore: options.rebuildStore ?? (async () => ({ entries: 0, chunks: 0, seconds: 0 })),
      };
    },
  };
  return host;
}
