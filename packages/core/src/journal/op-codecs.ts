/**
 * The operations of a journal entry as lists of fields: one small codec for each kind. Facts that come by the
 * thousand are packed into columns (columns.ts, tensor-columns.ts, record-columns.ts).
 */
import { DamageError, SHA256_BYTES, UsageError } from "@tensorcask/codec";
import type { Counters, FileFacts, Op } from "../model/entry.ts";
import { AS_STORED, MAX_LAYOUT } from "../model/part-layout.ts";
import {
  packIds,
  packNumbers,
  packRuns,
  packSteps,
  unpackIds,
  unpackNumbers,
  unpackRuns,
  unpackSteps,
} from "./columns.ts";
import { checkInteger, checkText, type Field, type Fields, jsonText, trimmed } from "./fields.ts";
import { packRecords, unpackRecords } from "./record-columns.ts";
import { packTensors, unpackTensors } from "./tensor-columns.ts";

type OpOf<Name extends Op["op"]> = Extract<Op, { readonly op: Name }>;

/** How one kind of operation becomes fields and back. `code` is on disk: never reuse one, never renumber. */
export interface OpCodec<Name extends Op["op"]> {
  readonly code: number;
  pack(op: OpOf<Name>): readonly (Field | undefined)[];
  unpack(fields: Fields): Omit<OpOf<Name>, "op">;
}

/** The codec of each operation. */
export const opCodecs: { readonly [Name in Op["op"]]: OpCodec<Name> } = {
  "pack.add": {
    code: 1,
    pack: (op) => [checkInteger(op.pack, "pack"), checkText(op.name, "name"), op.tail],
    unpack: (fields) => ({ pack: fields.integer(), name: fields.text(), tail: fields.flag() }),
  },
  "pack.drop": {
    code: 2,
    pack: (op) => [packSteps(op.packs)],
    unpack: (fields) => ({ packs: unpackSteps(fields.bytes(), fields.where) }),
  },
  frames: {
    code: 3,
    pack: (op) => [
      checkInteger(op.pack, "pack"),
      checkInteger(op.offset, "offset"),
      checkInteger(op.bytes, "bytes"),
      packRuns(op.chunks),
      op.staged,
      op.timeMs,
    ],
    unpack: (fields) => ({
      pack: fields.integer(),
      offset: fields.integer(),
      bytes: fields.integer(),
      chunks: unpackRuns(fields.bytes(), fields.where),
      ...present(
        "staged",
        fields.optional((each) => each.flag()),
      ),
      ...present(
        "timeMs",
        fields.optional((each) => each.number()),
      ),
    }),
  },
  "staged.drop": {
    code: 4,
    pack: (op) => [packSteps(op.firsts)],
    unpack: (fields) => ({ firsts: unpackSteps(fields.bytes(), fields.where) }),
  },
  "chunks.drop": {
    code: 5,
    pack: (op) => [packRuns(op.chunks)],
    unpack: (fields) => ({ chunks: unpackRuns(fields.bytes(), fields.where) }),
  },
  "tensors.add": {
    code: 6,
    pack: (op) => [checkInteger(op.first, "first tensor"), ...packTensors(op.tensors)],
    unpack: (fields) => ({ first: fields.integer(), tensors: unpackTensors(fields) }),
  },
  "tensors.drop": {
    code: 7,
    pack: (op) => [packRuns(op.tensors)],
    unpack: (fields) => ({ tensors: unpackRuns(fields.bytes(), fields.where) }),
  },
  "dataset.add": {
    code: 8,
    pack: (op) => [
      checkInteger(op.dataset, "dataset"),
      checkText(op.name, "name"),
      op.timeMs,
      op.preset === null ? null : checkText(op.preset, "preset"),
      jsonText(op.metadata, "metadata"),
      op.schema === null ? null : jsonText(op.schema, "schema"),
      checkTexts(op.indexed, "indexed"),
    ],
    unpack: (fields) => ({
      dataset: fields.integer(),
      name: fields.text(),
      timeMs: fields.number(),
      preset: fields.optional((each) => each.text()) ?? null,
      metadata: fields.json(),
      schema: fields.optional((each) => each.json()) ?? null,
      indexed: readTexts(fields),
    }),
  },
  // A field that is to change is a list of its new value: null inside of it says "none", null instead of it
  // "as it was".
  "dataset.set": {
    code: 9,
    pack: (op) => [
      checkInteger(op.dataset, "dataset"),
      op.name === undefined ? null : [checkText(op.name, "name")],
      op.preset === undefined ? null : [op.preset === null ? null : checkText(op.preset, "preset")],
      op.metadata === undefined ? null : [jsonText(op.metadata, "metadata")],
      op.schema === undefined ? null : [op.schema === null ? null : jsonText(op.schema, "schema")],
      op.indexed === undefined ? null : [checkTexts(op.indexed, "indexed")],
    ],
    unpack: (fields) => ({
      dataset: fields.integer(),
      ...present(
        "name",
        changed(fields, (each) => each.text()),
      ),
      ...present(
        "preset",
        changed(fields, (each) => each.optional((inner) => inner.text()) ?? null),
      ),
      ...present(
        "metadata",
        changed(fields, (each) => each.json()),
      ),
      ...present(
        "schema",
        changed(fields, (each) => each.optional((inner) => inner.json()) ?? null),
      ),
      ...present("indexed", changed(fields, readTexts)),
    }),
  },
  "dataset.drop": {
    code: 10,
    pack: (op) => [checkInteger(op.dataset, "dataset")],
    unpack: (fields) => ({ dataset: fields.integer() }),
  },
  version: {
    code: 11,
    pack: (op) => [
      checkInteger(op.dataset, "dataset"),
      checkInteger(op.version, "version"),
      op.note === undefined ? null : checkText(op.note, "note"),
      op.timeMs,
      op.sequence === undefined ? null : checkInteger(op.sequence, "sequence"),
    ],
    unpack: (fields) => ({
      dataset: fields.integer(),
      version: fields.integer(),
      ...present(
        "note",
        fields.optional((each) => each.text()),
      ),
      ...present(
        "timeMs",
        fields.optional((each) => each.number()),
      ),
      ...present(
        "sequence",
        fields.optional((each) => each.integer()),
      ),
    }),
  },
  "tag.set": {
    code: 12,
    pack: (op) => [
      checkInteger(op.dataset, "dataset"),
      checkText(op.tag, "tag"),
      checkInteger(op.version, "version"),
    ],
    unpack: (fields) => ({ dataset: fields.integer(), tag: fields.text(), version: fields.integer() }),
  },
  "tag.drop": {
    code: 13,
    pack: (op) => [checkInteger(op.dataset, "dataset"), checkText(op.tag, "tag")],
    unpack: (fields) => ({ dataset: fields.integer(), tag: fields.text() }),
  },
  expire: {
    code: 14,
    pack: (op) => [checkInteger(op.dataset, "dataset"), packSteps(op.kept)],
    unpack: (fields) => ({ dataset: fields.integer(), kept: unpackSteps(fields.bytes(), fields.where) }),
  },
  "records.add": {
    code: 15,
    pack: (op) => [
      checkInteger(op.dataset, "dataset"),
      checkInteger(op.version, "version"),
      ...packRecords(op.records),
    ],
    unpack: (fields) => ({
      dataset: fields.integer(),
      version: fields.integer(),
      records: unpackRecords(fields),
    }),
  },
  "records.remove": {
    code: 16,
    pack: (op) => [checkInteger(op.dataset, "dataset"), checkInteger(op.version, "version"), packIds(op.ids)],
    unpack: (fields) => ({
      dataset: fields.integer(),
      version: fields.integer(),
      ids: unpackIds(fields.bytes(), fields.where),
    }),
  },
  "files.add": {
    code: 17,
    pack: (op) => [
      checkInteger(op.dataset, "dataset"),
      checkInteger(op.version, "version"),
      op.files.map(packFile),
    ],
    unpack: (fields) => {
      const dataset = fields.integer();
      const version = fields.integer();
      const rows = fields.nested();
      const files: FileFacts[] = [];
      while (!rows.atEnd) files.push(unpackFile(rows.nested()));
      return { dataset, version, files };
    },
  },
  "files.remove": {
    code: 18,
    pack: (op) => [
      checkInteger(op.dataset, "dataset"),
      checkInteger(op.version, "version"),
      packSteps(op.files),
    ],
    unpack: (fields) => ({
      dataset: fields.integer(),
      version: fields.integer(),
      files: unpackSteps(fields.bytes(), fields.where),
    }),
  },
  "settings.set": {
    code: 19,
    pack: (op) => [jsonText(op.settings, "settings")],
    unpack: (fields) => ({ settings: fields.json() }),
  },
  "preset.set": {
    code: 20,
    pack: (op) => [checkText(op.name, "name"), jsonText(op.preset, "preset")],
    unpack: (fields) => ({ name: fields.text(), preset: fields.json() }),
  },
  "preset.drop": {
    code: 21,
    pack: (op) => [checkText(op.name, "name")],
    unpack: (fields) => ({ name: fields.text() }),
  },
  counters: {
    code: 22,
    pack: ({ next }) => [
      checkInteger(next.chunk, "chunk"),
      checkInteger(next.tensor, "tensor"),
      checkInteger(next.pack, "pack"),
      checkInteger(next.dataset, "dataset"),
      checkInteger(next.file, "file"),
    ],
    unpack: (fields): { next: Counters } => ({
      next: {
        chunk: fields.integer(),
        tensor: fields.integer(),
        pack: fields.integer(),
        dataset: fields.integer(),
        file: fields.integer(),
      },
    }),
  },
};

function packFile(file: FileFacts): Field {
  if (file.sha256.length !== SHA256_BYTES) {
    throw new UsageError("sha256", `a SHA-256 has ${SHA256_BYTES} bytes, not ${file.sha256.length}`);
  }
  return trimmed([
    checkInteger(file.file, "file"),
    checkText(file.path, "path"),
    checkText(file.format, "format"),
    checkInteger(file.bytes, "bytes"),
    file.sha256,
    packSteps(file.parts),
    file.added,
    file.removed,
    file.layouts === undefined ? null : packNumbers(file.layouts),
  ]);
}

function unpackFile(fields: Fields): FileFacts {
  const facts: FileFacts = {
    file: fields.integer(),
    path: fields.text(),
    format: fields.text(),
    bytes: fields.integer(),
    sha256: fields.bytes(SHA256_BYTES),
    parts: unpackSteps(fields.bytes(), fields.where),
    ...present(
      "added",
      fields.optional((each) => each.integer()),
    ),
    ...present(
      "removed",
      fields.optional((each) => each.integer()),
    ),
  };
  const layouts = fields.optional((each) => unpackNumbers(each.bytes(), each.where, facts.parts.length));
  fields.end();
  if (layouts === undefined) return facts;
  const unknown = layouts.find((layout) => layout < AS_STORED || layout > MAX_LAYOUT);
  if (unknown !== undefined) throw new DamageError(fields.where, `layout ${unknown} of a part is unknown`);
  return { ...facts, layouts };
}

/** An object with this property, or without it when the value is undefined. */
function present<Name extends string, T>(name: Name, value: T | undefined): { [Key in Name]?: T } {
  return (value === undefined ? {} : { [name]: value }) as { [Key in Name]?: T };
}

/** The new value of a field of `dataset.set`; undefined when it stays as it was. */
function changed<T>(fields: Fields, read: (fields: Fields) => T): T | undefined {
  return fields.optional((each) => read(each.nested()));
}

function checkTexts(texts: readonly string[], field: string): string[] {
  return texts.map((text) => checkText(text, field));
}

function readTexts(fields: Fields): string[] {
  const inner = fields.nested();
  const texts: string[] = [];
  while (!inner.atEnd) texts.push(inner.text());
  return texts;
}
