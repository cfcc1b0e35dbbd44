/**
 * The host of a real process. Ctrl-C and SIGTERM abort the signal, so that the command ends in order and closes its store; a second one
 * ends the process at once, which is safe too: a store survives kill -9.
 */
import { type Host, type Sink, signalStatus } from "./host.ts";

/**
 * A sink over a stream of the process. A reader that goes away (EPIPE) is no error: output behind it is dropped. Other errors (a full
 * disk behind `> file`) reject the write.
 */
export function streamSink(stream: NodeJS.WriteStream): Sink {
  let open = true;
  // Without a listener an error would end the process; the callback of the write tells it to the command.
  stream.on("error", () => undefined);
  return {
    isTerminal: stream.isTTY === true,
    stream,
    get open() {
      return open;
    },
    async write(data) {
      if (!open) {
        return;
      }
      await new Promise<void>((resolve, reject) => {
        stream.write(data, (error: NodeJS.ErrnoException | null | undefined) => {
          if (error?.code === "EPIPE" || error?.code === "ERR_STREAM_DESTROYED") {
            open = false;
          } else if (error) {
            reject(error);
            return;
          }
          resolve();
        });
      });
    },
  };
}

/** Standard streams, environment and signals of this process. Call it once. */
export function processHost(): Host {
  const controller = new AbortController();
  let input: NodeJS.ReadStream | undefined;
  for (const [name, status] of Object.entries(signalStatus)) {
    process.on(name, () => {
      if (controller.signal.aborted) {
        process.exit(status);
      }
      controller.abort(name);
      // A pipe that somebody holds open would keep the process.
      input?.destroy();
    });
  }
  return {
    stdout: streamSink(process.stdout),
    stderr: streamSink(process.stderr),
    stdin() {
      input = process.stdin;
      return input;
    },
    environment: process.env,
    signal: controller.signal,
    engine: () => import("@tensorcask/core"),
  };
}
