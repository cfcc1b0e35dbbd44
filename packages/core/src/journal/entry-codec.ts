/**
 * The payload of a journal entry: what one commit says, as deterministic CBOR (RFC 8949; by cborg).
 *
 *   [time in ms, operation, operation, ...]
 *   operation = [code, field, field, ...]
 *
 * Operations have codes, fields have places (op-codecs.ts), neither has names: entries are many and small.
 * The sequence is not repeated here: it stands in the entry's header.
 */
import { DamageError, LimitError, UsageError } from "@tensorcask/codec";
import { decode, encode } from "cborg";
import type { Entry, Op } from "../model/entry.ts";
import { type Field, Fields, trimmed } from "./fields.ts";
import { opCodecs } from "./op-codecs.ts";

/**
 * Longest payload: an entry is read into memory whole. A million small records with 100 bytes of metadata
 * each fit.
 */
export const MAX_ENTRY_BYTES: number = 256 * 1024 * 1024;

/** A codec without its operation's own type: what the two loops below need. */
interface AnyOpCodec {
  readonly code: number;
  pack(op: Op): readonly (Field | undefined)[];
  unpack(fields: Fields): object;
}

const byName = opCodecs as unknown as { readonly [name: string]: AnyOpCodec };
const nameOfCode = new Map(Object.entries(byName).map(([name, { code }]) => [code, name]));

/**
 * The payload of an entry. Throws `UsageError` naming the field for numbers that are not whole, ids and keys
 * of a wrong length and text with half a surrogate pair, `LimitError` for more than `MAX_ENTRY_BYTES`.
 */
export function encodeEntry(entry: Entry): Uint8Array {
  const fields: Field[] = [entry.timeMs];
  for (const op of entry.ops) {
    const codec = Object.hasOwn(byName, op.op) ? byName[op.op] : undefined;
    if (codec === undefined) throw new UsageError("op", `unknown operation ${JSON.stringify(op.op)}`);
    fields.push([codec.code, ...trimmed(codec.pack(op))]);
  }
  const payload = encode(fields);
  if (payload.length > MAX_ENTRY_BYTES) {
    throw new LimitError("bytes of a journal entry", payload.length, MAX_ENTRY_BYTES);
  }
  return payload;
}

/**
 * Reads a payload. Throws `DamageError` naming `where` when it is not one, or has operations that this
 * version does not know.
 */
export function decodeEntry(payload: Uint8Array, sequence: number, where: string): Entry {
  const fields = new Fields(decodeList(payload, where), where);
  const timeMs = fields.number();
  const ops: Op[] = [];
  while (!fields.atEnd) {
    const inner = fields.nested();
    const code = inner.integer();
    const name = nameOfCode.get(code);
    if (name === undefined) {
      throw new DamageError(
        where,
        `operation ${code} is unknown: a newer Tensorcask wrote it, or it is damaged`,
      );
    }
    const facts = byName[name]!.unpack(inner);
    inner.end();
    ops.push({ op: name, ...facts } as Op);
  }
  return { sequence, timeMs, ops };
}

function decodeList(payload: Uint8Array, where: string): readonly unknown[] {
  // A Buffer's `slice` is a view; a plain Uint8Array's is a copy, so that nothing keeps the read buffer
  // alive.
  const plain = new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength);
  let value: unknown;
  try {
    value = decode(plain, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowBigInt: false,
    });
  } catch (error) {
    throw new DamageError(where, "the payload of an entry is not CBOR", { cause: error });
  }
  if (!Array.isArray(value)) throw new DamageError(where, "the payload of an entry is not a list");
  return value as readonly unknown[];
}
