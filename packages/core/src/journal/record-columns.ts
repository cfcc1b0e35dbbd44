/**
 * The records of a `records.add` operation, as columns. Beside its name and metadata a record costs what its
 * id differs from the one before; file and tensor usually follow from the record before.
 *
 *   ids        see `packIds`; there are as many records as ids
 *   files      steps: file of each record, 0 for none
 *   tensors    steps: tensor of each record
 *   names      a list of text or null; null when no record has one
 *   metadata   a list of JSON text or null; null when no record has any
 *   added      steps: 0, or the version + 1; null when no record has one
 *   removed    in the same way
 */
import { DamageError } from "@tensorcask/codec";
import type { RecordFacts } from "../model/entry.ts";
import { packIds, packSteps, unpackIds, unpackSteps } from "./columns.ts";
import { checkText, type Field, Fields, jsonText } from "./fields.ts";

/** Packs records into fields. */
export function packRecords(records: readonly RecordFacts[]): Field[] {
  return [
    packIds(records.map(({ id }) => id)),
    packSteps(records.map(({ file }) => file)),
    packSteps(records.map(({ tensor }) => tensor)),
    packTexts(records.map(({ name }) => (name === undefined ? null : checkText(name, "name")))),
    packTexts(
      records.map(({ metadata }) => (metadata === undefined ? null : jsonText(metadata, "metadata"))),
    ),
    packOptional(records.map(({ added }) => added)),
    packOptional(records.map(({ removed }) => removed)),
  ];
}

/** Reads what `packRecords` wrote; takes the rest of `fields`. */
export function unpackRecords(fields: Fields): RecordFacts[] {
  const { where } = fields;
  const ids = unpackIds(fields.bytes(), where);
  const files = unpackSteps(fields.bytes(), where, ids.length);
  const tensors = unpackSteps(fields.bytes(), where, ids.length);
  const names = readTexts(fields, ids.length);
  const metadata = readTexts(fields, ids.length);
  const added = readOptional(fields, ids.length);
  const removed = readOptional(fields, ids.length);
  return ids.map((id, index) => {
    const name = names?.optional((each) => each.text());
    const object = metadata?.optional((each) => each.json());
    return {
      id,
      file: files[index]!,
      tensor: tensors[index]!,
      ...(name === undefined ? {} : { name }),
      ...(object === undefined ? {} : { metadata: object }),
      ...(added?.[index] ? { added: added[index] - 1 } : {}),
      ...(removed?.[index] ? { removed: removed[index] - 1 } : {}),
    };
  });
}

function packTexts(texts: readonly (string | null)[]): Field {
  return texts.some((text) => text !== null) ? texts : null;
}

function readTexts(fields: Fields, count: number): Fields | undefined {
  const list = fields.optional((each) => each.list());
  if (list !== undefined && list.length !== count) {
    throw new DamageError(fields.where, `${list.length} names or metadata for ${count} records`);
  }
  return list === undefined ? undefined : new Fields(list, fields.where);
}

function packOptional(numbers: readonly (number | undefined)[]): Field {
  if (numbers.every((number) => number === undefined)) return null;
  return packSteps(numbers.map((number) => (number === undefined ? 0 : number + 1)));
}

function readOptional(fields: Fields, count: number): number[] | undefined {
  const bytes = fields.optional((each) => each.bytes());
  return bytes === undefined ? undefined : unpackSteps(bytes, fields.where, count);
}
