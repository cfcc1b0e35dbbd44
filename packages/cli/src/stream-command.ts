/**
 * What `compress` and `decompress` have in common: one input, one output, a stream between them.
 */
import { stat } from "node:fs/promises";
import type { StreamOptions, StreamResult } from "@tensorcask/core";
import { formatBytes, formatRatio, formatSeconds, formatSpeed, printable } from "@tensorcask/stats";
import { openInput, openOutput, STANDARD } from "./byte-files.ts";
import type { CommandContext } from "./context.ts";
import { CommandUsageError } from "./failure.ts";

export interface StreamCommandOptions {
  readonly out?: string;
  readonly force?: boolean;
}

/** One run of a stream command. */
export interface StreamRun {
  readonly input: string;
  readonly output: string;
  readonly force: boolean | undefined;
  /** Makes the stream. */
  readonly stream: (
    source: AsyncIterable<Uint8Array>,
    options: StreamOptions,
  ) => AsyncGenerator<Uint8Array, StreamResult, void>;
  /** What to say behind the sizes: `Compressed`, with which preset. */
  readonly verb: string;
  readonly notes: readonly string[];
  /** More fields of `--json`. */
  readonly facts: object;
}

/** Runs the stream from input to output and prints what it did, unless the bytes go where the text would. */
export async function runStream(context: CommandContext, run: StreamRun): Promise<void> {
  const { host, options, signal } = context;
  const { input, output } = run;
  if (output === STANDARD && context.json) {
    throw new CommandUsageError(
      "json",
      "--json prints on standard output, where the bytes go; write them to a file",
    );
  }
  context.outcome.left = "no file was written";
  await refuseSameFile(input, output);
  const { source, size, mode } = await openInput(input, host);
  const target = await openOutput(output, host, { force: run.force, mode });
  const startedMs = performance.now();
  try {
    const result = await context.longCall(async ({ onProgress }) => {
      const stream = run.stream(source, {
        name: input === STANDARD ? "standard input" : input,
        signal,
        ...(size === undefined ? {} : { size }),
        ...(onProgress === undefined ? {} : { onProgress }),
        ...(options.memory === undefined ? {} : { memoryBytes: options.memory }),
        ...(options.workers === undefined ? {} : { workers: options.workers }),
      });
      let done: StreamResult | undefined;
      const pieces = async function* (): AsyncGenerator<Uint8Array> {
        done = yield* stream;
      };
      for await (const piece of pieces()) {
        await target.write(piece);
        if (!target.open) break;
      }
      return done;
    });
    if (result === undefined) return;
    await target.complete();
    if (output === STANDARD) return;
    const { toHex } = await import("@tensorcask/codec");
    const { originalBytes, compressedBytes, frames, sha256 } = result;
    const seconds = (performance.now() - startedMs) / 1000;
    const ratio = originalBytes === 0 ? null : originalBytes / compressedBytes;
    const facts = { originalBytes, compressedBytes, ratio, frames, sha256: toHex(sha256), seconds };
    await context.print({ input, output, ...run.facts, ...facts }, () => [
      [
        `${run.verb} ${printable(input)} to ${printable(output)}`,
        [
          `${formatBytes(originalBytes)} original, ${formatBytes(compressedBytes)} compressed (ratio ${formatRatio(ratio)})`,
          ...run.notes,
          `${formatSeconds(seconds)}, ${formatSpeed(originalBytes, seconds)}`,
        ].join(", "),
      ].join(": "),
    ]);
  } finally {
    await target.discard();
  }
}

/** An output that is the input would be read while it is being replaced, or replace what it was made from. */
export async function refuseSameFile(input: string, output: string): Promise<void> {
  if (input === STANDARD || output === STANDARD) return;
  const [from, to] = await Promise.all([input, output].map((path) => stat(path).catch(() => undefined)));
  if (from?.isFile() && to !== undefined && from.ino === to.ino && from.dev === to.dev) {
    throw new CommandUsageError("out", `${output} is the input; write to another file`);
  }
}
