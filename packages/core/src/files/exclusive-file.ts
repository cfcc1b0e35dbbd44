/**
 * A file that one process (or one connection) can hold exclusively: an SQLite database on which a transaction
 * is begun and nothing is ever written. SQLite knows how to lock files on every platform, across worker
 * threads, and without losing the lock when the same process opens the database twice; Node itself has no
 * file locks.
 */

import { StorageError } from "@tensorcask/codec";
import Database from "better-sqlite3";

/** One connection to a lock database. Opens it on first use. */
export class ExclusiveFile {
  readonly #path: string;
  #connection: Database.Database | undefined;
  #begin: Database.Statement | undefined;
  #end: Database.Statement | undefined;
  #held = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Whether this connection holds the file. */
  get held(): boolean {
    return this.#held;
  }

  /** Takes the file if nobody has it. Returns at once, and whether it is taken now. */
  tryLock(): boolean {
    try {
      this.#open();
      this.#begin!.run();
      this.#held = true;
      return true;
    } catch (error) {
      if ((error as { code?: string }).code?.startsWith("SQLITE_BUSY") === true) return false;
      throw new StorageError("lock", this.#path, error);
    }
  }

  /** Gives the file back; does nothing when it is not held. */
  unlock(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#end!.run();
  }

  /** Gives the file back and closes the connection; `tryLock` opens it again. */
  close(): void {
    this.#held = false;
    this.#connection?.close();
    this.#connection = undefined;
  }

  #open(): void {
    if (this.#connection !== undefined) return;
    const connection = new Database(this.#path, { timeout: 0 });
    try {
      // No journal file beside it: nothing is written, so there is nothing to roll back.
      connection.pragma("journal_mode = MEMORY");
      this.#begin = connection.prepare("BEGIN EXCLUSIVE");
      this.#end = connection.prepare("ROLLBACK");
      this.#connection = connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }
}
