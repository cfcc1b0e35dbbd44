/** A worker thread: answers one request at a time. Buffers are shared, so only lengths, hashes and failures travel. */
import { parentPort } from "node:worker_threads";
import { ready } from "@tensorcask/codec";
import { type Reply, type Request, run } from "./request.ts";

if (parentPort === null) throw new Error("worker.ts runs in a worker thread only");
const port = parentPort;
await ready();
port.on("message", (request: Request) => {
  let reply: Reply;
  try {
    reply = { result: run(request) };
  } catch (error) {
    reply = { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  port.postMessage(reply);
});
