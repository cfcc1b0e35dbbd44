/**
 * Imported files. A row holds the file's parts as runs of tensor ids (the tensors of one file have been added in a row), how they lie in it, and the range
 * of the ids of its records: they were given out together, so the range finds them without an index over all records.
 */

import type { FileFacts } from "../model/entry.ts";
import { idsOf, runsOf } from "../model/runs.ts";
import { bindable, plainBytes } from "./chunks.ts";
import type { FileRow } from "./rows.ts";
import type { Sqlite, SqlValue } from "./sqlite.ts";

interface FileColumns {
  readonly file: number;
  readonly dataset: number;
  readonly path: string;
  readonly format: string;
  readonly bytes: number;
  readonly sha256: Buffer;
  readonly parts: string;
  readonly layouts: string | null;
  readonly added: number;
  readonly removed: number | null;
}

// Files of a dropped dataset wait to be reaped and are not there for readers.
const selectFile = `
  SELECT f.file, f.dataset, f.path, f.format, f.bytes, f.sha256, f.parts, f.layouts, f.added, f.removed
  FROM file f CROSS JOIN dataset d ON d.dataset = f.dataset AND d.name IS NOT NULL`;

/** SQL that holds for rows of version ?; `current` says that it is the newest version. */
export function visible(current: boolean, prefix = ""): string {
  return current
    ? `${prefix}removed IS NULL`
    : `${prefix}added <= ? AND (${prefix}removed IS NULL OR ${prefix}removed > ?)`;
}

/** The parameters of `visible`. */
export function visibleAt(current: boolean, version: number): SqlValue[] {
  return current ? [] : [version, version];
}

/** Runs keep their order, so parts that repeat or jump about come back as they were. */
export function partsOf(text: string): number[] {
  return [...idsOf(JSON.parse(text) as number[])];
}

/** Layouts as text: a digit for each part. */
export function layoutsOf(text: string | null): { layouts?: number[] } {
  return text === null ? {} : { layouts: Array.from(text, Number) };
}

function fileRow({ removed, parts, layouts, sha256, ...rest }: FileColumns): FileRow {
  return {
    ...rest,
    sha256: plainBytes(sha256),
    parts: partsOf(parts),
    ...layoutsOf(layouts),
    ...(removed === null ? {} : { removed }),
  };
}

/** Inserts one file row. */
export function insertFile(sqlite: Sqlite, dataset: number, added: number, file: FileFacts): void {
  sqlite.run(
    `INSERT INTO file (file, dataset, path, format, bytes, sha256, parts, layouts, added, removed)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    file.file,
    dataset,
    file.path,
    file.format,
    file.bytes,
    bindable(file.sha256),
    JSON.stringify(runsOf(file.parts)),
    file.layouts?.join("") ?? null,
    added,
    file.removed ?? null,
  );
}

/** The range that holds the ids of a file's records; undefined when it has none. */
export function recordRange(
  sqlite: Sqlite,
  file: number,
): readonly [first: Uint8Array, last: Uint8Array] | undefined {
  const [first, last] = sqlite.tuples<[Buffer | null, Buffer | null]>(
    "SELECT min(record_first), max(record_last) FROM file WHERE file = ?",
    file,
  )[0] ?? [null, null];
  return first === null || last === null ? undefined : [first, last];
}

export class Files {
  readonly #sqlite: Sqlite;

  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
  }

  /** The files of a version, by path. */
  all(dataset: number, version: number): FileRow[] {
    return this.#sqlite
      .rows<FileColumns>(
        `${selectFile} WHERE f.dataset = ? AND ${visible(false, "f.")} ORDER BY f.path, f.file`,
        dataset,
        ...visibleAt(false, version),
      )
      .map(fileRow);
  }

  byPath(dataset: number, version: number, path: string): FileRow | undefined {
    const columns = this.#sqlite.row<FileColumns>(
      `${selectFile} WHERE f.dataset = ? AND f.path = ? AND ${visible(false, "f.")} ORDER BY f.added DESC LIMIT 1`,
      dataset,
      path,
      ...visibleAt(false, version),
    );
    return columns === undefined ? undefined : fileRow(columns);
  }

  /** The newest state of a file, whether its version is current or not. */
  byId(file: number): FileRow | undefined {
    const columns = this.#sqlite.row<FileColumns>(
      `${selectFile} WHERE f.file = ? ORDER BY f.added DESC LIMIT 1`,
      file,
    );
    return columns === undefined ? undefined : fileRow(columns);
  }

  /** Files visible at `to` but not at `from`. */
  between(dataset: number, from: number, to: number): FileRow[] {
    return this.#sqlite
      .rows<FileColumns>(
        `${selectFile} WHERE f.dataset = ? AND ${visible(false, "f.")} AND NOT (${visible(false, "f.")}) ORDER BY f.path, f.file`,
        dataset,
        ...visibleAt(false, to),
        ...visibleAt(false, from),
      )
      .map(fileRow);
  }
}
