/**
 * The catalog's tables. All of it is derived from the journal: a newer layout needs no migration, only a rebuild.
 *
 * Bytes count (ARCHITECTURE rule 8), so:
 * - A hash or key is stored once, in its row, and found by an index on its first 5 bytes; the whole of it is compared after. (A table
 *   clustered by the hash would need a second index by id, and reading a run of chunk ids would jump about.)
 * - `record` is clustered by (dataset, id, added): ids rise, so inserts append, and paging by id reads it in order.
 * - Names are found through `name`, (32-bit hash of dataset and name, record id): an index on the text would store every name twice.
 * - dtype, shape and geometry repeat, so tensors share rows of `form`. A tensor whose one array is itself, in one run of chunks or one
 *   bundle slot, is (`first`, `place`): place >= 0 is the offset in bundle `first`, place < 0 is minus the number of chunks from `first`.
 *   Others have `more` (JSON: [stored bytes, first, count, first, count, ...], what statistics and gc need) and `facts` (JSON: the rest).
 * - Records of one file and chunks of one pack have ids close together: the file and pack rows hold the range of ids, and no index is needed.
 * - Few chunks are coded against another one, and few tensors have a sketch: those have rows of `sibling` and `sketch`, the others nothing.
 * - `feature` is a cache beside all this: of chunks of opaque bytes only, and gone after a rebuild (features.ts).
 *
 * Visible at version v: `added <= v AND (removed IS NULL OR removed > v)`. A dropped dataset has no name; its rows go in slices (`reap`).
 */
import { damaged, type Sqlite } from "./sqlite.ts";

/** Layout of the tables. Raise it with every change of them. */
export const SCHEMA_VERSION = 3;

const tables = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER, hash BLOB, segment TEXT, offset INTEGER);
  CREATE TABLE counter (kind TEXT PRIMARY KEY, next INTEGER) WITHOUT ROWID;
  CREATE TABLE pack (pack INTEGER PRIMARY KEY, name TEXT NOT NULL, tail INTEGER NOT NULL, committed INTEGER NOT NULL,
    chunk_first INTEGER, chunk_last INTEGER);
  CREATE TABLE chain (chain INTEGER PRIMARY KEY, codes TEXT NOT NULL UNIQUE);
  CREATE TABLE chunk (chunk INTEGER PRIMARY KEY, hash BLOB NOT NULL, pack INTEGER NOT NULL, offset INTEGER NOT NULL,
    frame_bytes INTEGER NOT NULL, raw_bytes INTEGER NOT NULL, chain INTEGER NOT NULL);
  CREATE INDEX chunk_hash ON chunk (substr(hash, 1, 5));
  CREATE TABLE sibling (chunk INTEGER PRIMARY KEY, base INTEGER NOT NULL);
  CREATE INDEX sibling_base ON sibling (base);
  CREATE TABLE staged (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, time_ms INTEGER NOT NULL);
  CREATE TABLE form (form INTEGER PRIMARY KEY, dtype INTEGER NOT NULL, geometry INTEGER NOT NULL, shape TEXT NOT NULL,
    bytes INTEGER NOT NULL, UNIQUE (dtype, geometry, shape));
  CREATE TABLE tensor (tensor INTEGER PRIMARY KEY, key BLOB NOT NULL, form INTEGER NOT NULL, first INTEGER, place INTEGER,
    more TEXT, facts TEXT);
  CREATE INDEX tensor_key ON tensor (substr(key, 1, 5));
  CREATE TABLE sketch (tensor INTEGER PRIMARY KEY, hashes BLOB NOT NULL);
  CREATE TABLE band (hash INTEGER, tensor INTEGER, PRIMARY KEY (hash, tensor)) WITHOUT ROWID;
  CREATE TABLE feature (chunk INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c INTEGER);
  CREATE INDEX feature_a ON feature (a) WHERE a IS NOT NULL;
  CREATE INDEX feature_b ON feature (b) WHERE b IS NOT NULL;
  CREATE INDEX feature_c ON feature (c) WHERE c IS NOT NULL;
  CREATE TABLE dataset (dataset INTEGER PRIMARY KEY, name TEXT UNIQUE, version INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    preset TEXT, metadata TEXT NOT NULL, schema TEXT, indexed TEXT NOT NULL);
  CREATE TABLE version (dataset INTEGER, version INTEGER, sequence INTEGER NOT NULL, time_ms INTEGER NOT NULL, note TEXT,
    PRIMARY KEY (dataset, version)) WITHOUT ROWID;
  CREATE TABLE tag (dataset INTEGER, tag TEXT, version INTEGER NOT NULL, PRIMARY KEY (dataset, tag)) WITHOUT ROWID;
  CREATE TABLE preset (name TEXT PRIMARY KEY, preset TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE file (row INTEGER PRIMARY KEY, file INTEGER NOT NULL, dataset INTEGER NOT NULL, path TEXT NOT NULL,
    format TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 BLOB NOT NULL, parts TEXT NOT NULL, layouts TEXT, added INTEGER NOT NULL,
    removed INTEGER, record_first BLOB, record_last BLOB, UNIQUE (file, added));
  CREATE INDEX file_path ON file (dataset, path, added);
  CREATE TABLE record (dataset INTEGER, id BLOB, added INTEGER, removed INTEGER, file INTEGER NOT NULL, tensor INTEGER NOT NULL,
    name TEXT, metadata TEXT, PRIMARY KEY (dataset, id, added)) WITHOUT ROWID;
  CREATE INDEX record_removed ON record (dataset, removed) WHERE removed IS NOT NULL;
  CREATE TABLE name (hash INTEGER, id BLOB, PRIMARY KEY (hash, id)) WITHOUT ROWID;
`;

const rows = `
  INSERT INTO meta VALUES ('schema', ${SCHEMA_VERSION});
  INSERT INTO position VALUES (1, 0, zeroblob(32), '', 0);
  INSERT INTO counter VALUES ('chunk', 1), ('tensor', 1), ('pack', 1), ('dataset', 1), ('file', 1);
  INSERT INTO chain VALUES (0, '[]');
`;

/** Makes the tables of a new database, or checks that those of an old one are ours. Throws `DamageError` if not. */
export function prepareSchema(sqlite: Sqlite, readOnly: boolean): void {
  const count = sqlite.value<number>("SELECT count(*) FROM sqlite_master");
  if (count === 0) {
    if (readOnly) {
      throw damaged("the database is empty");
    }
    sqlite.write(() => {
      // Another process may have made them between the look and the lock.
      if (sqlite.value<number>("SELECT count(*) FROM sqlite_master") === 0) {
        sqlite.exec(tables);
        sqlite.exec(rows);
      }
    });
  }
  const version = sqlite.value<number>("SELECT value FROM meta WHERE key = 'schema'");
  if (version !== SCHEMA_VERSION) {
    throw damaged(
      `the tables have layout ${version === undefined ? "unknown" : version}, this program makes layout ${SCHEMA_VERSION}`,
    );
  }
}

/** Drops everything and starts at sequence 0. One transaction: a crash leaves the old state or the empty one. */
export function clearSchema(sqlite: Sqlite): void {
  sqlite.write(() => {
    const names = sqlite.values<string>(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    );
    for (const name of names) {
      sqlite.exec(`DROP TABLE "${name.replaceAll('"', '""')}"`);
    }
    sqlite.exec(tables);
    sqlite.exec(rows);
  });
}
