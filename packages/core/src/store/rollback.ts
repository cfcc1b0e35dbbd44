/** Rolling back: a version equal to an old one. */
import type { DatasetRow, RecordRow } from "../catalog/catalog.ts";
import type { RecordFacts } from "../model/entry.ts";
import type { DatasetChange, EntryBuilder } from "./entry-builder.ts";

/** What the current version lacks of an old one comes back, what it has beside it goes, as rows of the new version. */
export function rollback(
  version: number,
  dataset: DatasetRow,
  change: DatasetChange,
  builder: EntryBuilder,
): void {
  const { catalog } = builder;
  const back = catalog.changes(dataset.dataset, dataset.version, version);
  const filesGone = new Set(back.filesRemoved.map((file) => file.file));
  change.filesRemoved.push(...filesGone);
  for (const row of back.removed) if (!filesGone.has(row.file)) change.removed.push(row.id);
  const files = new Map<number, number>();
  for (const row of back.filesAdded) {
    const file = builder.nextFile();
    files.set(row.file, file);
    const { path, format, bytes, sha256, parts, layouts } = row;
    change.filesAdded.push({
      file,
      path,
      format,
      bytes,
      sha256,
      parts,
      ...(layouts !== undefined && { layouts }),
    });
  }
  for (const row of back.added) change.added.push(again(row, files.get(row.file) ?? row.file));
}

function again(row: RecordRow, file: number): RecordFacts {
  const { id, name, metadata, tensor } = row;
  return {
    id,
    file,
    tensor,
    ...(name !== undefined && { name }),
    ...(metadata !== undefined && { metadata }),
  };
}
