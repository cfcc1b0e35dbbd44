/**
 * Resolves the intents of a write set against the catalog, under the lock, into an entry. Everything a caller may have got wrong is
 * found here, since only here is it certain what is there: taken names, missing records, broken schemas, conflicts.
 */
import {
  AlreadyExistsError,
  ConflictError,
  equalBytes,
  findBuiltinPreset,
  NotFoundError,
  UsageError,
  VersionExpiredError,
} from "@tensorcask/codec";
import type { DatasetRow } from "../catalog/catalog.ts";
import type { JsonObject, RecordFacts } from "../model/entry.ts";
import { fileAddresses } from "./address.ts";
import type { DatasetChange, EntryBuilder } from "./entry-builder.ts";
import { hashKey } from "./pending.ts";
import { recordIdText } from "./record-id.ts";
import { rollback } from "./rollback.ts";
import { checkRecord } from "./schema.ts";
import type { DatasetRef, Expectation, Intent, PendingRecord, WriteSet } from "./write-set.ts";

/** Adds a write set to an entry. Throws without a trace in the catalog; the builder is spoilt then. */
export function resolveWriteSet(writeSet: WriteSet, builder: EntryBuilder): void {
  for (const expectation of writeSet.expectations ?? []) expect(expectation, builder);
  for (const intent of writeSet.intents) resolve(intent, builder, writeSet.note);
}

function expect(expectation: Expectation, builder: EntryBuilder): void {
  const dataset = rowOf(expectation.dataset, builder);
  if (expectation.kind === "version") {
    if (dataset.version !== expectation.version) throw new ConflictError(dataset.name, "");
    return;
  }
  const change = builder.changeSoFar(dataset.dataset);
  if (expectation.kind === "record") {
    if (change?.removedKeys.has(hashKey(expectation.id)))
      throw new ConflictError(dataset.name, recordIdText(expectation.id));
    const row = builder.catalog.record(dataset.dataset, dataset.version, expectation.id);
    if (row?.added !== expectation.added) throw new ConflictError(dataset.name, recordIdText(expectation.id));
    return;
  }
  const taken =
    change?.names.has(expectation.name) === true || hasAddress(expectation.name, dataset, builder);
  if (taken) throw new ConflictError(dataset.name, expectation.name);
}

/** Whether any record answers to an address: by its bare name, or as `file#tensor`. */
function hasAddress(address: string, { dataset, version }: DatasetRow, { catalog }: EntryBuilder): boolean {
  if (catalog.recordsNamed(dataset, version, address).length > 0) return true;
  return fileAddresses(address).some(({ file, name }) => {
    const row = catalog.file(dataset, version, file);
    return row !== undefined && catalog.recordsNamed(dataset, version, name, row.file).length > 0;
  });
}

/** The row of a dataset; one that this entry creates counts as empty, at version 0. */
function rowOf(ref: DatasetRef, builder: EntryBuilder): DatasetRow {
  const row = builder.dataset(ref);
  if (row === undefined) throw new NotFoundError("dataset", ref.name, "it was deleted");
  return row;
}

function changeOf(dataset: DatasetRow, builder: EntryBuilder, note: string | undefined): DatasetChange {
  const change = builder.change(dataset.dataset, dataset.version + 1);
  change.note ??= note;
  return change;
}

function resolve(intent: Intent, builder: EntryBuilder, note: string | undefined): void {
  const { catalog } = builder;
  switch (intent.kind) {
    case "stage":
      for (const pack of intent.packs) builder.pack(pack, true);
      return;
    case "unstage":
      if (intent.firsts.length > 0) builder.ops.push({ op: "staged.drop", firsts: intent.firsts });
      return;
    case "settings":
      // Merged here: only under the lock is it certain what is set.
      if (typeof intent.settings["preset"] === "string") checkPreset(intent.settings["preset"], builder);
      builder.ops.push({ op: "settings.set", settings: { ...catalog.settings(), ...intent.settings } });
      return;
    case "set-preset":
      builder.ops.push({ op: "preset.set", name: intent.name, preset: intent.preset });
      return;
    case "drop-preset":
      if (catalog.preset(intent.name) === undefined) throw new NotFoundError("preset", intent.name);
      checkUnused(intent.name, builder);
      builder.ops.push({ op: "preset.drop", name: intent.name });
      return;
    case "create-dataset": {
      if (intent.preset !== null) checkPreset(intent.preset, builder);
      if (!builder.takeDatasetName(intent.dataset.name))
        throw new AlreadyExistsError("dataset", intent.dataset.name);
      builder.createDataset(intent.dataset, intent);
      return;
    }
    default:
      resolveInDataset(intent, rowOf(intent.dataset, builder), builder, note);
  }
}

function checkPreset(name: string, { catalog }: EntryBuilder): void {
  if (findBuiltinPreset(name) === undefined && catalog.preset(name) === undefined)
    throw new NotFoundError("preset", name, "it was removed");
}

/** Throws when a dataset or the store follows a preset. */
function checkUnused(name: string, { catalog }: EntryBuilder): void {
  const followers = catalog.datasets().filter((row) => row.preset === name);
  if (followers.length > 0 || catalog.settings()["preset"] === name) {
    throw new UsageError(
      "preset",
      `${name} is in use by ${followers.map((row) => row.name).join(", ") || "the store"}`,
    );
  }
}

type DatasetIntent = Exclude<
  Intent,
  { kind: "stage" | "unstage" | "settings" | "set-preset" | "drop-preset" | "create-dataset" }
>;

function resolveInDataset(
  intent: DatasetIntent,
  dataset: DatasetRow,
  builder: EntryBuilder,
  note: string | undefined,
): void {
  const { catalog } = builder;
  const id = dataset.dataset;
  switch (intent.kind) {
    case "set-dataset":
      setDataset(intent, dataset, builder);
      return;
    case "drop-dataset":
      builder.ops.push({ op: "dataset.drop", dataset: id });
      return;
    case "insert":
      insert(intent.record, intent.replace, dataset, builder, note);
      return;
    case "update":
      update(intent, dataset, builder, note);
      return;
    case "delete": {
      if (catalog.record(id, dataset.version, intent.id) === undefined) {
        throw new NotFoundError("record", recordIdText(intent.id), `in ${dataset.name}`);
      }
      if (!remove(intent.id, changeOf(dataset, builder, note))) {
        throw new NotFoundError(
          "record",
          recordIdText(intent.id),
          `in ${dataset.name}: it goes in this commit already`,
        );
      }
      return;
    }
    case "put-file": {
      const change = changeOf(dataset, builder, note);
      const old = catalog.file(id, dataset.version, intent.file.path);
      if (old !== undefined) change.filesRemoved.push(old.file);
      const { path, format, bytes, sha256, parts, layouts, records } = intent.file;
      const file = builder.nextFile();
      change.filesAdded.push({
        file,
        path,
        format,
        bytes,
        sha256,
        parts: parts.map((part) => builder.tensor(part)),
        ...(layouts !== undefined && { layouts }),
      });
      for (const record of records) {
        checkRecord(dataset.schema, record.tensor, record.metadata, `${path}#${record.name}`);
        change.added.push(recordFacts(record, file, builder));
      }
      return;
    }
    case "delete-file": {
      const file = catalog.file(id, dataset.version, intent.path);
      if (file === undefined) throw new NotFoundError("file", intent.path, `in ${dataset.name}`);
      changeOf(dataset, builder, note).filesRemoved.push(file.file);
      return;
    }
    case "set-tag": {
      const version = intent.version ?? dataset.version;
      if (version === 0)
        throw new UsageError("version", `${dataset.name} is empty and has no version to tag yet`);
      if (!catalog.hasVersion(id, version)) throw new VersionExpiredError(dataset.name, version);
      if (!intent.move && catalog.tag(id, intent.tag) !== undefined) {
        throw new AlreadyExistsError("tag", intent.tag, "move it with --move");
      }
      builder.ops.push({ op: "tag.set", dataset: id, tag: intent.tag, version });
      return;
    }
    case "drop-tag":
      if (catalog.tag(id, intent.tag) === undefined)
        throw new NotFoundError("tag", intent.tag, `in ${dataset.name}`);
      builder.ops.push({ op: "tag.drop", dataset: id, tag: intent.tag });
      return;
    case "rollback":
      if (!catalog.hasVersion(id, intent.version))
        throw new VersionExpiredError(dataset.name, intent.version);
      rollback(
        intent.version,
        dataset,
        changeOf(dataset, builder, note ?? `rollback to ${intent.version}`),
        builder,
      );
      return;
  }
}

function recordFacts(record: PendingRecord, file: number, builder: EntryBuilder): RecordFacts {
  const { id, name, metadata } = record;
  return {
    id,
    file,
    tensor: builder.tensor(record.tensor),
    ...(name !== undefined && { name }),
    ...(metadata !== undefined && Object.keys(metadata).length > 0 && { metadata }),
  };
}

function insert(
  record: PendingRecord,
  replace: boolean,
  dataset: DatasetRow,
  builder: EntryBuilder,
  note: string | undefined,
): void {
  checkRecord(dataset.schema, record.tensor, record.metadata, record.name ?? "record");
  const change = changeOf(dataset, builder, note);
  takeName(record.name, undefined, replace, dataset, change, builder);
  change.added.push(recordFacts(record, 0, builder));
}

/** Makes sure that a name is free, or frees it. */
function takeName(
  name: string | undefined,
  holder: Uint8Array | undefined,
  replace: boolean,
  dataset: DatasetRow,
  change: DatasetChange,
  builder: EntryBuilder,
): void {
  if (name === undefined) return;
  if (change.names.has(name)) throw new AlreadyExistsError("record", name, "it occurs twice in this commit");
  change.names.add(name);
  for (const row of builder.catalog.recordsNamed(dataset.dataset, dataset.version, name, 0)) {
    if (holder !== undefined && equalBytes(row.id, holder)) continue;
    if (change.removedKeys.has(hashKey(row.id))) continue;
    if (!replace) throw new AlreadyExistsError("record", name, "give { replace: true } to take its place");
    remove(row.id, change);
  }
}

function update(
  intent: Extract<Intent, { kind: "update" }>,
  dataset: DatasetRow,
  builder: EntryBuilder,
  note: string | undefined,
): void {
  const row = builder.catalog.record(dataset.dataset, dataset.version, intent.id);
  if (row === undefined) throw new NotFoundError("record", recordIdText(intent.id), `in ${dataset.name}`);
  if (intent.expectTensor !== undefined && row.tensor !== intent.expectTensor) {
    throw new ConflictError(dataset.name, row.name ?? recordIdText(intent.id));
  }
  const change = changeOf(dataset, builder, note);
  if (!remove(intent.id, change)) {
    throw new NotFoundError(
      "record",
      recordIdText(intent.id),
      `in ${dataset.name}: it is replaced in this commit`,
    );
  }
  if (intent.name !== undefined && intent.name !== row.name) {
    if (row.file !== 0)
      throw new UsageError("name", "a record of an imported file keeps the name it has there");
    takeName(intent.name, intent.id, false, dataset, change, builder);
  }
  const name = intent.name ?? row.name;
  // Whoever wants the name in the same entry must find it taken.
  if (row.file === 0 && name !== undefined) change.names.add(name);
  const metadata = mergeJson(row.metadata ?? {}, intent.metadata ?? {});
  const tensor = intent.tensor === undefined ? row.tensor : builder.tensor(intent.tensor);
  if (dataset.schema !== null) {
    const facts = intent.tensor ?? builder.catalog.tensor(row.tensor);
    if (facts !== undefined) checkRecord(dataset.schema, facts, metadata, name ?? recordIdText(intent.id));
  }
  change.added.push({
    id: intent.id,
    file: row.file,
    tensor,
    ...(name !== undefined && { name }),
    ...(Object.keys(metadata).length > 0 && { metadata }),
  });
}

/** Removes a record; false when this entry has removed it already. */
function remove(id: Uint8Array, change: DatasetChange): boolean {
  const key = hashKey(id);
  if (change.removedKeys.has(key)) return false;
  change.removedKeys.add(key);
  change.removed.push(id);
  return true;
}

/** Merges at the top level; null removes a key. */
export function mergeJson(base: JsonObject, change: JsonObject): JsonObject {
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(change)) {
    if (value === null) merged.delete(key);
    else merged.set(key, value);
  }
  return Object.fromEntries(merged);
}

function setDataset(
  intent: Extract<Intent, { kind: "set-dataset" }>,
  dataset: DatasetRow,
  builder: EntryBuilder,
): void {
  const { name, preset, metadata, schema, indexed } = intent;
  if ((preset ?? null) !== null) checkPreset(preset!, builder);
  if (name !== undefined && name !== dataset.name && !builder.takeDatasetName(name)) {
    throw new AlreadyExistsError("dataset", name);
  }
  builder.ops.push({
    op: "dataset.set",
    dataset: dataset.dataset,
    ...(name !== undefined && { name }),
    ...(preset !== undefined && { preset }),
    ...(metadata !== undefined && { metadata: mergeJson(dataset.metadata, metadata) }),
    ...(schema !== undefined && { schema }),
    ...(indexed !== undefined && { indexed }),
  });
}
