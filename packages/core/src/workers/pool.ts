/**
 * The worker pool: hands requests to threads, in order, two to a thread at most (one runs, one waits, so that a thread never idles for a
 * message). Threads start with the first request that is worth one. Without threads (`workers: 0`, or a platform that cannot
 * start them) requests run in the calling thread: slower, otherwise the same.
 */
import { Worker } from "node:worker_threads";
import { ready } from "@tensorcask/codec";
import { type Reply, type Request, type Result, run } from "./request.ts";
import { SLOT_PARTS, SlotPool } from "./slot.ts";

/** Below this many bytes, handing work over costs more than it brings (a message there and back takes 0.1 ms). */
const INLINE_BYTES = 128 * 1024;

/** A thread that has not been started yet costs 40 ms; smaller jobs run in the calling thread until one has been. */
const START_BYTES = 1024 * 1024;

const IN_FLIGHT_PER_WORKER = 2;

/** Slots of less than this cannot hold the largest chunk (131,072 elements of complex128). */
export const SMALLEST_SLOT_BYTES: number = 2 * 1024 * 1024;

const LARGEST_SLOT_BYTES = 4 * 1024 * 1024;

interface Job {
  readonly request: Request;
  readonly resolve: (value: Uint8Array | number[] | object[]) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  /** Oldest first: a thread answers in order. */
  readonly jobs: Job[];
}

export interface WorkerPoolOptions {
  readonly workers: number;
  /** Memory for slots and for the threads' heaps, in bytes. */
  readonly memoryBytes: number;
  /** Bytes of the largest chunk that will pass through. */
  readonly largestChunkBytes?: number;
}

export class WorkerPool {
  readonly slots: SlotPool;
  readonly #workers: number;
  readonly #heapMegabytes: number;
  readonly #threads: Thread[] = [];
  readonly #queue: Job[] = [];
  #unavailable = false;
  #closed = false;

  constructor(options: WorkerPoolOptions) {
    const smallest = Math.max(SMALLEST_SLOT_BYTES, options.largestChunkBytes ?? 0);
    const slotBytes = Math.max(smallest, Math.min(LARGEST_SLOT_BYTES, Math.floor(options.memoryBytes / 32)));
    const most = 2 * Math.max(1, options.workers) + 2;
    const affordable = Math.floor(options.memoryBytes / 3 / (SLOT_PARTS * slotBytes));
    this.slots = new SlotPool(slotBytes, Math.max(3, Math.min(most, affordable)));
    this.#workers = options.workers;
    this.#heapMegabytes = Math.max(
      16,
      Math.floor(options.memoryBytes / 4 / Math.max(1, options.workers) / 2 ** 20),
    );
  }

  /** Threads that requests are spread over; 1 when they run in the calling thread. */
  get parallelism(): number {
    return this.#unavailable ? 1 : Math.max(1, this.#workers);
  }

  /** Runs a request. `bytes` is the amount of work, which decides whether a thread is worth it. */
  async run<Kind extends Request["kind"]>(
    request: Extract<Request, { kind: Kind }>,
    bytes: number,
  ): Promise<Result<Kind>> {
    await ready();
    const least = this.#threads.length === 0 ? START_BYTES : INLINE_BYTES;
    if (this.#workers === 0 || this.#unavailable || this.#closed || bytes < least) {
      return run(request) as Result<Kind>;
    }
    return new Promise<Uint8Array | number[] | object[]>((resolve, reject) => {
      this.#queue.push({ request, resolve, reject });
      this.#dispatch();
    }) as Promise<Result<Kind>>;
  }

  /** Ends the threads. Requests that still come run in the calling thread. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#threads.splice(0).map((thread) => thread.worker.terminate()));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const thread = this.#threadWithRoom();
      if (thread === undefined) return;
      const job = this.#queue.shift()!;
      thread.jobs.push(job);
      // A thread keeps the process alive only while it has work.
      thread.worker.ref();
      thread.worker.postMessage(job.request);
    }
  }

  #threadWithRoom(): Thread | undefined {
    let best: Thread | undefined;
    for (const thread of this.#threads) {
      if (best === undefined || thread.jobs.length < best.jobs.length) best = thread;
    }
    if ((best === undefined || best.jobs.length > 0) && this.#threads.length < this.#workers) {
      const started = this.#start();
      if (started !== undefined) return started;
    }
    return best !== undefined && best.jobs.length < IN_FLIGHT_PER_WORKER ? best : undefined;
  }

  #start(): Thread | undefined {
    let worker: Worker;
    try {
      worker = new Worker(
        new URL(`./worker${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url),
        {
          resourceLimits: { maxOldGenerationSizeMb: this.#heapMegabytes },
        },
      );
    } catch {
      this.#lose(undefined);
      return undefined;
    }
    const thread: Thread = { worker, jobs: [] };
    worker.on("message", (reply: Reply) => {
      const job = thread.jobs.shift()!;
      if (thread.jobs.length === 0) worker.unref();
      if ("failure" in reply) job.reject(new Error(`worker: ${reply.failure}`));
      else job.resolve(reply.result);
      this.#dispatch();
    });
    worker.on("error", () => this.#lose(thread));
    this.#threads.push(thread);
    return thread;
  }

  /** A thread died or could not start: what it had, and what waits, runs in the calling thread from now on. */
  #lose(thread: Thread | undefined): void {
    this.#unavailable = true;
    if (thread !== undefined) this.#threads.splice(this.#threads.indexOf(thread), 1);
    for (const job of [
      ...(thread?.jobs.splice(0) ?? []),
      ...(this.#threads.length === 0 ? this.#queue.splice(0) : []),
    ]) {
      try {
        job.resolve(run(job.request));
      } catch (error) {
        job.reject(error instanceof Error ? error : new Error(String(error)));
      }
    }
  }
}
