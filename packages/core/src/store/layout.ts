/**
 * What lies in a store's directory:
 *
 *   tensorcask.json                         marker (marker.ts)
 *   journal/                                the truth (core/journal)
 *   packs/                                  frames (core/pack)
 *   catalog.sqlite, -wal, -shm              derived from the journal (core/catalog)
 *   lock.sqlite, lock-queue.sqlite, lock.pid   the writer lock (files/lock.ts)
 *   reserve                                 given up when the disk is full (files/reserve.ts)
 */
export const CATALOG_NAME = "catalog.sqlite";
export const JOURNAL_NAME = "journal";
export const PACKS_NAME = "packs";
export const RESERVE_NAME = "reserve";

/** A catalog that is being rebuilt beside a broken one. */
export const REBUILT_CATALOG_NAME = "catalog.sqlite.rebuilt";

/** What SQLite keeps beside a database, by suffix. The database itself goes first: without it, SQLite ignores and removes a WAL. */
export const SQLITE_SUFFIXES: readonly string[] = ["", "-wal", "-shm", "-journal"];
