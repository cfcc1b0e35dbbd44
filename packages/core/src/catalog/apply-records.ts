/**
 * Applying operations about records and files. A row that was added and removed by the same version was never visible, so it is not kept.
 */
import { compareBytes } from "@tensorcask/codec";
import type { ApplyContext, OpOf } from "./apply-context.ts";
import { requireDataset } from "./apply-datasets.ts";
import { bindable } from "./chunks.ts";
import { insertFile, recordRange } from "./files.ts";
import { addName, dropName } from "./names.ts";
import { damaged } from "./sqlite.ts";

export function addRecords(context: ApplyContext, op: OpOf<"records.add">): void {
  const { sqlite } = context;
  const { dataset, version } = op;
  requireDataset(context, dataset, version);
  for (const record of op.records) {
    const id = bindable(record.id);
    sqlite.run(
      "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      dataset,
      id,
      record.added ?? version,
      record.removed ?? null,
      record.file,
      record.tensor,
      record.name ?? null,
      record.metadata === undefined ? null : JSON.stringify(record.metadata),
    );
    if (record.name !== undefined) {
      addName(sqlite, dataset, record.name, id);
    }
    if (record.file !== 0) {
      widenRange(context, record.file, id);
    }
  }
}

function widenRange({ ranges }: ApplyContext, file: number, id: Uint8Array): void {
  const range = ranges.get(file);
  if (range === undefined) {
    ranges.set(file, { first: id, last: id });
  } else if (compareBytes(id, range.first) < 0) {
    range.first = id;
  } else if (compareBytes(id, range.last) > 0) {
    range.last = id;
  }
}

/** Writes the ranges of record ids to the file rows. At the end of an entry each of these files must be there. */
export function flushRanges({ sqlite, ranges, sequence }: ApplyContext, isEnd: boolean): void {
  for (const [file, { first, last }] of ranges) {
    const known = sqlite.run(
      `UPDATE file SET record_first = min(ifnull(record_first, ?), ?), record_last = max(ifnull(record_last, ?), ?)
       WHERE file = ?`,
      first,
      first,
      last,
      last,
      file,
    );
    if (known > 0) {
      ranges.delete(file);
    } else if (isEnd) {
      throw damaged(`entry ${sequence} adds records of file ${file}, which is not there`);
    }
  }
}

export function removeRecords(context: ApplyContext, op: OpOf<"records.remove">): void {
  const { sqlite } = context;
  const { dataset, version } = op;
  requireDataset(context, dataset, version);
  for (const each of op.ids) {
    const id = bindable(each);
    const marked = sqlite.run(
      "UPDATE record SET removed = ? WHERE dataset = ? AND id = ? AND removed IS NULL AND added < ?",
      version,
      dataset,
      id,
      version,
    );
    if (marked === 0) {
      const name = sqlite.tuples<[string | null]>(
        "DELETE FROM record WHERE dataset = ? AND id = ? AND added = ? AND removed IS NULL RETURNING name",
        dataset,
        id,
        version,
      )[0]?.[0];
      if (name !== undefined && name !== null) {
        dropName(sqlite, dataset, name, id);
      }
    }
  }
}

export function addFiles(context: ApplyContext, op: OpOf<"files.add">): void {
  const { sqlite, counters } = context;
  requireDataset(context, op.dataset, op.version);
  for (const file of op.files) {
    insertFile(sqlite, op.dataset, file.added ?? op.version, file);
    counters.file = Math.max(counters.file, file.file + 1);
  }
}

export function removeFiles(context: ApplyContext, op: OpOf<"files.remove">): void {
  const { sqlite } = context;
  const { dataset, version } = op;
  requireDataset(context, dataset, version);
  // Records of these files may stand in this very entry.
  flushRanges(context, false);
  for (const file of op.files) {
    const range = recordRange(sqlite, file);
    if (range !== undefined) {
      sqlite.run(
        `UPDATE record SET removed = ? WHERE dataset = ? AND id BETWEEN ? AND ? AND file = ?
         AND removed IS NULL AND added < ?`,
        version,
        dataset,
        ...range,
        file,
        version,
      );
      const dropped = sqlite.tuples<[Buffer, string | null]>(
        `DELETE FROM record WHERE dataset = ? AND id BETWEEN ? AND ? AND file = ? AND added = ? AND removed IS NULL
         RETURNING id, name`,
        dataset,
        ...range,
        file,
        version,
      );
      for (const [id, name] of dropped) {
        if (name !== null) {
          dropName(sqlite, dataset, name, id);
        }
      }
    }
    sqlite.run(
      "UPDATE file SET removed = ? WHERE file = ? AND dataset = ? AND removed IS NULL AND added < ?",
      version,
      file,
      dataset,
      version,
    );
    sqlite.run(
      "DELETE FROM file WHERE file = ? AND dataset = ? AND removed IS NULL AND added = ?",
      file,
      dataset,
      version,
    );
  }
}
