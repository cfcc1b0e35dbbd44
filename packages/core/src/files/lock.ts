/**
 * The writer lock: one holder at a time over all processes that use a store, and free again at once when the
 * holder dies, however it dies. It is an exclusive transaction on an otherwise empty SQLite database, so the
 * operating system keeps it and drops it with the process.
 *
 *   lock.sqlite        locked by the holder
 *   lock-queue.sqlite  locked by the one waiter whose turn is next: without it, a process that commits all the time would take the
 *                      lock again before anybody else looks, and others would starve
 *   lock.pid           64 bytes of text: pid of the last holder, a space, its token, spaces. Names the holder in errors, and
 *                      tells the next holder whether anybody else was in between
 *
 * Within a process, callers queue in order. Nothing else may ever open the two databases: on POSIX systems
 * closing any descriptor of a file drops the process's locks on it.
 */
import { randomBytes } from "node:crypto";
import { closeSync, constants, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { CancelledError, ClosedError, LockTimeoutError, StorageError, toHex } from "@tensorcask/codec";
import { ExclusiveFile } from "./exclusive-file.ts";

const LOCK_NAME = "lock.sqlite";
const QUEUE_NAME = "lock-queue.sqlite";
const HOLDER_NAME = "lock.pid";

/** Files of the lock in the store's directory. Not to be opened, copied or read by anybody else. */
export const LOCK_FILES: readonly string[] = [LOCK_NAME, QUEUE_NAME, HOLDER_NAME];

/** How long callers wait unless they say otherwise. */
const DEFAULT_WAIT_MS = 60_000;

/** Polling starts fast, because most commits take milliseconds, and slows down behind a long holder. */
const FIRST_POLL_MS = 1;
const LAST_POLL_MS = 25;
const POLL_GROWTH = 1.25;

/** Size of lock.pid: a pid, a token, room to spare. Fixed, so that rewriting it needs no new disk space. */
const HOLDER_BYTES = 64;

/** A held lock. */
export interface Lease {
  /**
   * True when anybody else may have held the lock since this `WriterLock`'s last lease: then what is cached
   * may be out of date. Always true the first time.
   */
  readonly changedHands: boolean;
  /** How long the caller waited. */
  readonly waitedMs: number;
  /**
   * Makes the next lease say `changedHands` again: for a holder that could not bring its caches up to date.
   */
  invalidate(): void;
  /** Gives the lock back. Calling it again does nothing. */
  release(): void;
}

export interface AcquireOptions {
  /** How long to wait at most, in milliseconds; 0 tries once. Default 60,000. */
  readonly waitMs?: number;
  /** Gives up waiting. */
  readonly signal?: AbortSignal;
}

/** What holds the lock against other processes. */
interface Gate {
  /** Tries to take the lock. Undefined: it is taken. Else: whether it changed hands. */
  tryEnter(): { changedHands: boolean } | undefined;
  /** Stops standing in line, after a `tryEnter` that did not succeed. */
  leaveQueue(): void;
  exit(): void;
  holderPid(): number | undefined;
  close(): void;
}

/** One caller in line. */
interface Waiter {
  readonly start: () => void;
}

/**
 * The writer lock of one store. One object per open store; two objects exclude each other like two processes.
 */
export class WriterLock {
  readonly #gate: Gate;
  readonly #line: Waiter[] = [];
  #busy = false;
  #closed = false;
  /** Whether the next lease is to say that the lock changed hands. True at first. */
  #stale = true;

  private constructor(gate: Gate) {
    this.#gate = gate;
  }

  /** The lock of the store in `directory`. Touches no file before the first `acquire`. */
  static open(directory: string): WriterLock {
    return new WriterLock(new DirectoryGate(directory));
  }

  /** A lock for a store in memory: callers queue, there are no other processes. */
  static inMemory(): WriterLock {
    return new WriterLock(new MemoryGate());
  }

  /**
   * Waits for the lock. Rejects with `LockTimeoutError` (naming the holder's pid) after `waitMs`, with
   * `CancelledError` when `signal` aborts, with `ClosedError` after `close`.
   */
  async acquire(options: AcquireOptions = {}): Promise<Lease> {
    const started = performance.now();
    const waitMs = options.waitMs ?? DEFAULT_WAIT_MS;
    await this.#turn(started, waitMs, options.signal);
    try {
      const { changedHands } = await this.#enter(started, waitMs, options.signal);
      let held = true;
      const release = (): void => {
        if (!held) return;
        held = false;
        try {
          this.#gate.exit();
        } finally {
          this.#next();
        }
      };
      const invalidate = (): void => {
        if (held) this.#stale = true;
      };
      const stale = this.#stale;
      this.#stale = false;
      return {
        changedHands: changedHands || stale,
        waitedMs: performance.now() - started,
        invalidate,
        release,
      };
    } catch (error) {
      this.#next();
      throw error;
    }
  }

  /** Refuses further callers and those that wait; a lease that is held stays valid until it is released. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#busy) {
      for (const waiter of this.#line.splice(0)) waiter.start();
    } else this.#gate.close();
  }

  /** Waits until this caller is first among those of this object. */
  async #turn(started: number, waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    this.#check(signal);
    if (!this.#busy) {
      this.#busy = true;
      return;
    }
    await new Promise<void>((fulfil, reject) => {
      const leave = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        const at = this.#line.indexOf(waiter);
        if (at >= 0) this.#line.splice(at, 1);
      };
      const waiter: Waiter = {
        start: () => {
          leave();
          if (this.#closed) reject(new ClosedError("the store"));
          else fulfil();
        },
      };
      const abort = (): void => {
        leave();
        reject(cancelled(signal!));
      };
      const timer = setTimeout(() => {
        leave();
        reject(new LockTimeoutError(this.#gate.holderPid() ?? process.pid, elapsedMs(started)));
      }, waitMs);
      signal?.addEventListener("abort", abort, { once: true });
      this.#line.push(waiter);
    });
  }

  /** Polls the gate. */
  async #enter(
    started: number,
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<{ changedHands: boolean }> {
    let pause = FIRST_POLL_MS;
    try {
      for (;;) {
        this.#check(signal);
        const entered = this.#gate.tryEnter();
        if (entered !== undefined) return entered;
        const left = waitMs - (performance.now() - started);
        if (left <= 0) throw new LockTimeoutError(this.#gate.holderPid(), elapsedMs(started));
        await sleep(Math.min(pause, left), signal);
        pause = Math.min(pause * POLL_GROWTH, LAST_POLL_MS);
      }
    } catch (error) {
      this.#gate.leaveQueue();
      throw error;
    }
  }

  #check(signal: AbortSignal | undefined): void {
    if (this.#closed) throw new ClosedError("the store");
    if (signal?.aborted === true) throw cancelled(signal);
  }

  /** Lets the next caller in. */
  #next(): void {
    const waiter = this.#line.shift();
    if (waiter !== undefined) {
      waiter.start();
      return;
    }
    this.#busy = false;
    if (this.#closed) this.#gate.close();
  }
}

/** The lock files of a directory. */
class DirectoryGate implements Gate {
  readonly #lock: ExclusiveFile;
  readonly #queue: ExclusiveFile;
  readonly #holderPath: string;
  /** What lock.pid says while we are the last holder. */
  readonly #self: Buffer;
  readonly #seen: Buffer = Buffer.alloc(HOLDER_BYTES);
  #holder: number | undefined;

  constructor(directory: string) {
    this.#lock = new ExclusiveFile(join(directory, LOCK_NAME));
    this.#queue = new ExclusiveFile(join(directory, QUEUE_NAME));
    this.#holderPath = join(directory, HOLDER_NAME);
    const text = `${process.pid} ${toHex(randomBytes(16))}`;
    this.#self = Buffer.from(`${text.padEnd(HOLDER_BYTES - 1)}\n`, "latin1");
  }

  tryEnter(): { changedHands: boolean } | undefined {
    if (!this.#queue.held && !this.#queue.tryLock()) return undefined;
    if (!this.#lock.tryLock()) return undefined;
    this.#queue.unlock();
    try {
      return { changedHands: this.#sign() };
    } catch (error) {
      this.#lock.unlock();
      throw error;
    }
  }

  leaveQueue(): void {
    this.#queue.unlock();
  }

  exit(): void {
    this.#lock.unlock();
  }

  holderPid(): number | undefined {
    try {
      const pid = Number.parseInt(this.#readHolder(), 10);
      return pid > 0 ? pid : undefined;
    } catch {
      // Only an error message wants it, and that says "another process" then.
      return undefined;
    }
  }

  close(): void {
    this.#lock.close();
    this.#queue.close();
    if (this.#holder !== undefined) closeSync(this.#holder);
    this.#holder = undefined;
  }

  /** Notes that we hold the lock. Returns whether somebody else was the last to hold it. */
  #sign(): boolean {
    if (this.#readHolder() === this.#self.toString("latin1")) return false;
    const descriptor = this.#descriptor();
    try {
      writeSync(descriptor, this.#self, 0, HOLDER_BYTES, 0);
    } catch (error) {
      // With our name missing, the holder before us would believe that nobody came after it: leave no name at
      // all.
      try {
        ftruncateSync(descriptor, 0);
      } catch {
        throw new StorageError("write", this.#holderPath, error);
      }
    }
    return true;
  }

  #readHolder(): string {
    const count = readSync(this.#descriptor(), this.#seen, 0, HOLDER_BYTES, 0);
    return this.#seen.toString("latin1", 0, count);
  }

  #descriptor(): number {
    try {
      this.#holder ??= openSync(this.#holderPath, constants.O_RDWR | constants.O_CREAT, 0o666);
      return this.#holder;
    } catch (error) {
      throw new StorageError("open", this.#holderPath, error);
    }
  }
}

/** No other process sees a store in memory. */
class MemoryGate implements Gate {
  tryEnter(): { changedHands: boolean } {
    return { changedHands: false };
  }

  leaveQueue(): void {}

  exit(): void {}

  holderPid(): number {
    return process.pid;
  }

  close(): void {}
}

function elapsedMs(started: number): number {
  return Math.round(performance.now() - started);
}

function cancelled(signal: AbortSignal): CancelledError {
  return new CancelledError("waiting for the writer lock", { cause: signal.reason });
}

/** Resolves after `ms`, or as soon as `signal` aborts. */
function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((fulfil) => {
    const wake = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", wake);
      fulfil();
    };
    const timer = setTimeout(wake, ms);
    signal?.addEventListener("abort", wake, { once: true });
  });
}
