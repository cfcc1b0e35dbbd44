/**
 * The catalog's seam to better-sqlite3: prepared statements cached by their text, SQLite's errors turned into the project's.
 * Everything is synchronous and nothing hands out a cursor: a cursor open across an `await` would keep the WAL from ever
 * being reset. Three result forms, because they differ in cost: `rows` (objects), `tuples` (arrays), `values` (one column).
 */

import { ClosedError, DamageError, StorageError } from "@tensorcask/codec";
import Database from "better-sqlite3";

/** What may be bound to a parameter. */
export type SqlValue = null | number | string | Uint8Array;

export interface SqliteOptions {
  readonly readOnly?: boolean;
  readonly cacheBytes?: number;
}

type Mode = "row" | "tuple" | "value";
type Prepared = Database.Statement<SqlValue[], unknown>;

/** Statements kept prepared. The catalog's own are about 100; the rest is room for filters that users vary. */
const STATEMENTS_KEPT = 256;
const DEFAULT_CACHE_BYTES = 32 * 1024 * 1024;
/** A checkpoint after so many pages (16 MiB): an entry of a thousand records touches two thousand, mostly in the hash indexes. */
const WAL_PAGES = 4096;
/** The WAL file is cut back to this after a checkpoint, so that one big entry does not keep its disk space. */
const WAL_BYTES_KEPT = 16 * 1024 * 1024;
/** Another process's checkpoint or recovery holds SQLite's lock for a moment; writers as such wait on the store's own lock. */
const BUSY_TIMEOUT_MS = 10_000;

const advice = "the catalog is derived from the journal: run `tensorcask rebuild`";

/** errno names for SQLite's own failures, so that `StorageError.code` means the same everywhere. */
const errnoOf: readonly (readonly [string, string])[] = [
  ["SQLITE_FULL", "ENOSPC"],
  ["SQLITE_READONLY", "EROFS"],
  ["SQLITE_CANTOPEN", "ENOENT"],
  ["SQLITE_BUSY", "EBUSY"],
  ["SQLITE_LOCKED", "EBUSY"],
  ["SQLITE_PERM", "EACCES"],
  ["SQLITE_NOMEM", "ENOMEM"],
  ["SQLITE_IOERR", "EIO"],
];

/** A damaged catalog, with what to do about it. */
export function damaged(message: string, cause?: unknown): DamageError {
  return new DamageError("catalog", `${message}; ${advice}`, cause === undefined ? {} : { cause });
}

export class Sqlite {
  readonly path: string;
  readonly #database: Database.Database;
  readonly #statements: Record<Mode, Map<string, Prepared>> = {
    row: new Map(),
    tuple: new Map(),
    value: new Map(),
  };

  private constructor(path: string, database: Database.Database) {
    this.path = path;
    this.#database = database;
  }

  /** Opens or creates the database file. Throws `StorageError` or, for a file that is none, `DamageError`. */
  static open(path: string, options: SqliteOptions = {}): Sqlite {
    let database: Database.Database;
    try {
      database = new Database(path, { readonly: options.readOnly === true, timeout: BUSY_TIMEOUT_MS });
    } catch (cause) {
      throw translate(cause, path, "open");
    }
    const opened = new Sqlite(path, database);
    try {
      if (options.readOnly !== true) {
        opened.pragma("journal_mode = WAL");
        opened.pragma("synchronous = NORMAL");
        opened.pragma(`wal_autocheckpoint = ${WAL_PAGES}`);
        opened.pragma(`journal_size_limit = ${WAL_BYTES_KEPT}`);
      }
      opened.pragma(`cache_size = ${-Math.ceil((options.cacheBytes ?? DEFAULT_CACHE_BYTES) / 1024)}`);
      opened.pragma("temp_store = MEMORY");
    } catch (error) {
      database.close();
      throw error;
    }
    return opened;
  }

  close(): void {
    for (const statements of Object.values(this.#statements)) {
      statements.clear();
    }
    this.#database.close();
  }

  get isOpen(): boolean {
    return this.#database.open;
  }

  /** The first row as an object keyed by column name. */
  row<R>(sql: string, ...parameters: SqlValue[]): R | undefined {
    try {
      return this.#prepared("row", sql).get(...parameters) as R | undefined;
    } catch (cause) {
      throw translate(cause, this.path, "read");
    }
  }

  rows<R>(sql: string, ...parameters: SqlValue[]): R[] {
    try {
      return this.#prepared("row", sql).all(...parameters) as R[];
    } catch (cause) {
      throw translate(cause, this.path, "read");
    }
  }

  /** Rows as arrays: the cheapest form for several columns. */
  tuples<T extends readonly SqlValue[]>(sql: string, ...parameters: SqlValue[]): T[] {
    try {
      return this.#prepared("tuple", sql).all(...parameters) as unknown as T[];
    } catch (cause) {
      throw translate(cause, this.path, "read");
    }
  }

  /** The first column of the first row. */
  value<T extends SqlValue>(sql: string, ...parameters: SqlValue[]): T | undefined {
    try {
      return this.#prepared("value", sql).get(...parameters) as T | undefined;
    } catch (cause) {
      throw translate(cause, this.path, "read");
    }
  }

  /** The first column of all rows. */
  values<T extends SqlValue>(sql: string, ...parameters: SqlValue[]): T[] {
    try {
      return this.#prepared("value", sql).all(...parameters) as unknown as T[];
    } catch (cause) {
      throw translate(cause, this.path, "read");
    }
  }

  /** Runs a statement that returns nothing; gives back the number of rows it changed. */
  run(sql: string, ...parameters: SqlValue[]): number {
    try {
      return this.#prepared("row", sql).run(...parameters).changes;
    } catch (cause) {
      throw translate(cause, this.path, "write");
    }
  }

  /** Runs several statements without parameters. */
  exec(sql: string): void {
    try {
      this.#database.exec(sql);
    } catch (cause) {
      throw translate(cause, this.path, "write");
    }
  }

  pragma(text: string): unknown {
    try {
      return this.#database.pragma(text, { simple: true });
    } catch (cause) {
      throw translate(cause, this.path, "write");
    }
  }

  /** Runs `work` in a write transaction: all of it lands, or, when it throws, nothing. */
  write<T>(work: () => T): T {
    return this.#transaction("BEGIN IMMEDIATE", work);
  }

  /** Runs `work` against one unchanging state of the database. Inside a transaction it joins that one. */
  read<T>(work: () => T): T {
    return this.#database.inTransaction ? work() : this.#transaction("BEGIN", work);
  }

  #transaction<T>(begin: string, work: () => T): T {
    this.run(begin);
    let result: T;
    try {
      result = work();
      this.run("COMMIT");
    } catch (error) {
      // SQLite rolls back by itself on some failures (a full disk, for one); then there is nothing left to undo.
      if (this.#database.inTransaction) {
        this.run("ROLLBACK");
      }
      throw error;
    }
    return result;
  }

  #prepared(mode: Mode, sql: string): Prepared {
    const statements = this.#statements[mode];
    const found = statements.get(sql);
    if (found !== undefined) {
      return found;
    }
    const prepared: Prepared = this.#database.prepare<SqlValue[], unknown>(unpeeked(sql));
    if (mode === "tuple") {
      prepared.raw(true);
    } else if (mode === "value") {
      prepared.pluck(true);
    }
    if (statements.size >= STATEMENTS_KEPT) {
      const oldest = statements.keys().next();
      if (oldest.done !== true) {
        statements.delete(oldest.value);
      }
    }
    statements.set(sql, prepared);
    return prepared;
  }
}

/**
 * SQLite built with STAT4 (as better-sqlite3 builds it) peeks at bound values to plan, and then prepares the statement anew whenever
 * another value is bound: 7 microseconds of the 9 that a lookup over two tables took. It does not look behind a unary plus, which costs
 * nothing when the statement runs. No text of ours has a question mark that is not a parameter.
 */
function unpeeked(sql: string): string {
  return sql.replaceAll("?", "+?");
}

function translate(cause: unknown, path: string, operation: string): unknown {
  if (!(cause instanceof Error)) {
    return cause;
  }
  if (cause instanceof TypeError && cause.message.includes("connection is not open")) {
    return new ClosedError("the catalog");
  }
  if (cause instanceof TypeError && cause.message.includes("directory does not exist")) {
    return new StorageError(
      operation,
      path,
      Object.assign(new Error(cause.message, { cause }), { code: "ENOENT" }),
    );
  }
  const code = cause instanceof Database.SqliteError ? cause.code : undefined;
  if (code === undefined) {
    return cause;
  }
  if (
    code.startsWith("SQLITE_CORRUPT") ||
    code.startsWith("SQLITE_NOTADB") ||
    code.startsWith("SQLITE_FORMAT")
  ) {
    return damaged(cause.message, cause);
  }
  if (code.startsWith("SQLITE_CONSTRAINT")) {
    return damaged(`an entry contradicts what is stored (${cause.message})`, cause);
  }
  // A missing table or column: some other database, or one that was never finished.
  if (code === "SQLITE_ERROR" && /no such (table|column)/.test(cause.message)) {
    return damaged(cause.message, cause);
  }
  const errno = errnoOf.find(([prefix]) => code.startsWith(prefix))?.[1];
  return errno === undefined
    ? cause
    : new StorageError(operation, path, Object.assign(new Error(cause.message, { cause }), { code: errno }));
}
