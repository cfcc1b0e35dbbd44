/**
 * The literals between patterns. Runs of one length are mostly the same fields of a record: a counter's lower
 * bytes, a number between two names. Put under each other, their bytes are columns, and each column is coded by
 * itself.
 *
 *     runs      a0 a1 | b0 b1 b2 | a0' a1' | b0' b1' b2'
 *     columns   a0 a0'   a1 a1'   b0 b0'   b1 b1'   b2 b2'
 *
 *     form 0    a stream of all literals, in order
 *     form 1    for each length of up to 16 that at least 64 runs have, ascending: a stream per column; then a
 *               stream of all other literals, in order
 */
import type { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError } from "../errors/errors.ts";
import { hasRepeats } from "./sampling.ts";
import { encodeStream, readStream, writeStream } from "./streams.ts";

const IN_ORDER = 0;
const COLUMNS = 1;

/** Longer runs are hardly fields, and every column costs a stream. */
const MAX_COLUMNS = 16;
/** Shorter columns do not earn what their stream costs. */
const MIN_COLUMN_BYTES = 64;

/** Writes the literals of these runs in the form that takes fewer bytes. */
export function writeLiterals(writer: ByteWriter, literals: Uint8Array, runs: ArrayLike<number>): void {
  const inOrder = new ByteWriter(literals.length + 16).u8(IN_ORDER);
  writeStream(inOrder, encodeStream(literals, hasRepeats(literals)));
  let best = inOrder;
  const rows = rowsByLength(runs);
  if (rows.some((count) => count > 0)) {
    const byColumns = new ByteWriter(literals.length + 16).u8(COLUMNS);
    for (const part of split(literals, runs, rows)) {
      writeStream(byColumns, encodeStream(part, hasRepeats(part)));
    }
    if (byColumns.length < best.length) best = byColumns;
  }
  writer.bytes(best.finish());
}

/** Reads `bytes` literals of these runs. */
export function readLiterals(reader: ByteReader, bytes: number, runs: ArrayLike<number>): Uint8Array {
  const form = reader.u8();
  if (form === IN_ORDER) return readStream(reader, bytes);
  if (form !== COLUMNS) throw new DamageError("hierarchical", `unknown form ${form} of the literals`);
  const rows = rowsByLength(runs);
  const columns = columnsOf(rows, () => new Uint8Array(0));
  let others = bytes;
  for (let length = 1; length <= MAX_COLUMNS; length++) {
    for (let column = 0; column < length && rows[length]! > 0; column++) {
      columns[length]![column] = readStream(reader, rows[length]!);
      others -= rows[length]!;
    }
  }
  const rest = readStream(reader, others);
  const literals = new Uint8Array(bytes);
  const rowOf = new Uint32Array(MAX_COLUMNS + 1);
  let at = 0;
  let restAt = 0;
  for (let run = 0; run < runs.length; run++) {
    const length = runs[run]!;
    if (length > MAX_COLUMNS || rows[length] === 0) {
      literals.set(rest.subarray(restAt, restAt + length), at);
      restAt += length;
    } else {
      const row = rowOf[length]!++;
      for (let column = 0; column < length; column++) literals[at + column] = columns[length]![column]![row]!;
    }
    at += length;
  }
  return literals;
}

/** How many runs there are of each length that gets columns; 0 for others. */
function rowsByLength(runs: ArrayLike<number>): Uint32Array {
  const rows = new Uint32Array(MAX_COLUMNS + 1);
  for (let run = 0; run < runs.length; run++) if (runs[run]! <= MAX_COLUMNS) rows[runs[run]!]!++;
  for (let length = 0; length < rows.length; length++) if (rows[length]! < MIN_COLUMN_BYTES) rows[length] = 0;
  return rows;
}

/** Columns by the length of their runs and their place in it. */
function columnsOf(rows: Uint32Array, make: (bytes: number) => Uint8Array): Uint8Array[][] {
  return Array.from(rows, (count, length) =>
    Array.from({ length: count === 0 ? 0 : length }, () => make(count)),
  );
}

/** The columns in the order in which they are written, then all other literals. */
function split(literals: Uint8Array, runs: ArrayLike<number>, rows: Uint32Array): Uint8Array[] {
  const columns = columnsOf(rows, (bytes) => new Uint8Array(bytes));
  const rest = new Uint8Array(literals.length);
  const rowOf = new Uint32Array(MAX_COLUMNS + 1);
  let at = 0;
  let restAt = 0;
  for (let run = 0; run < runs.length; run++) {
    const length = runs[run]!;
    if (length > MAX_COLUMNS || rows[length] === 0) {
      rest.set(literals.subarray(at, at + length), restAt);
      restAt += length;
    } else {
      const row = rowOf[length]!++;
      for (let column = 0; column < length; column++) columns[length]![column]![row] = literals[at + column]!;
    }
    at += length;
  }
  return [...columns.flat(), rest.subarray(0, restAt)];
}
