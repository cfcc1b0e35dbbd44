/**
 * How far the catalog has come: the journal position behind the last applied entry, and the next free ids. Both are read from the
 * database each time, because another process may have applied entries.
 */
import { equalBytes } from "@tensorcask/codec";
import type { Counters, JournalPosition } from "../model/entry.ts";
import { bindable, plainBytes } from "./chunks.ts";
import { damaged, type Sqlite } from "./sqlite.ts";

const kinds = ["chunk", "tensor", "pack", "dataset", "file"] as const satisfies readonly (keyof Counters)[];

export function readPosition(sqlite: Sqlite): JournalPosition {
  const row = sqlite.row<{ sequence: number; hash: Buffer; segment: string; offset: number }>(
    "SELECT sequence, hash, segment, offset FROM position",
  );
  if (row === undefined) {
    throw damaged("it does not say how far it has come");
  }
  return { ...row, hash: plainBytes(row.hash) };
}

export function writePosition(sqlite: Sqlite, position: JournalPosition): void {
  sqlite.run(
    "UPDATE position SET sequence = ?, hash = ?, segment = ?, offset = ?",
    position.sequence,
    bindable(position.hash),
    position.segment,
    position.offset,
  );
}

/** Moves the position to another place of the same state: sequence and hash must be what they are. */
export function movePosition(sqlite: Sqlite, position: JournalPosition): void {
  const { sequence, hash } = readPosition(sqlite);
  if (position.sequence !== sequence || !equalBytes(position.hash, hash)) {
    throw damaged(`it is at entry ${sequence}, the journal was rewritten at entry ${position.sequence}`);
  }
  writePosition(sqlite, position);
}

export function readCounters(sqlite: Sqlite): Counters {
  const next = new Map(sqlite.tuples<[string, number]>("SELECT kind, next FROM counter"));
  const of = (kind: keyof Counters): number => next.get(kind) ?? 1;
  return {
    chunk: of("chunk"),
    tensor: of("tensor"),
    pack: of("pack"),
    dataset: of("dataset"),
    file: of("file"),
  };
}

export function writeCounters(sqlite: Sqlite, counters: Counters): void {
  for (const kind of kinds) {
    sqlite.run(
      "UPDATE counter SET next = ? WHERE kind = ? AND next <> ?",
      counters[kind],
      kind,
      counters[kind],
    );
  }
}
