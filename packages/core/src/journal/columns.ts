/**
 * Columns: many small facts of one kind, packed together. A journal entry with ten thousand records repeats
 * itself almost everywhere: ids count up, offsets grow by the same step, the dataset's file is the same one.
 * Kept as columns, what repeats costs a few bytes for all rows together.
 *
 * Numbers (`packNumbers`) are a sequence of groups:
 *
 *   varint 2 n + 1, number          the number, n times
 *   varint 2 n,     n numbers       n different numbers
 *
 * where a number is a zigzag varint: 0, -1, 1, -2, ... as 0, 1, 2, 3, ... `packSteps` packs the difference of
 * each number to the one before it (the first to 0). Ids (`packIds`) are 16 bytes each and share beginnings:
 * one byte says how many bytes are the same as in the id before, the rest follows.
 *
 * Numbers in columns are below 2^52, so that every zigzag difference stays an exact JavaScript number.
 */
import { ByteReader, ByteWriter, DamageError, LimitError, UsageError } from "@tensorcask/codec";

/** See above. An id per nanosecond lasts 52 days; an id per microsecond lasts 140 years. */
export const MAX_COLUMN_NUMBER: number = 2 ** 52 - 1;

/**
 * Most numbers of one column: 16 Mi rows are more than an entry of MAX_ENTRY_BYTES needs, and small enough to
 * hold in memory.
 */
export const MAX_COLUMN_COUNT: number = 2 ** 24;

/** Bytes of a record's id. */
export const ID_BYTES = 16;

/** Fewer equal numbers than this are cheaper among different ones. */
const SHORTEST_RUN = 3;

/** Packs whole numbers of either sign. */
export function packNumbers(numbers: readonly number[]): Uint8Array {
  const writer = new ByteWriter(16);
  if (numbers.length > MAX_COLUMN_COUNT) {
    throw new LimitError("numbers of a journal column", numbers.length, MAX_COLUMN_COUNT);
  }
  let differentFrom = 0;
  for (let at = 0; at < numbers.length; ) {
    let end = at + 1;
    while (end < numbers.length && numbers[end] === numbers[at]) end++;
    if (end - at >= SHORTEST_RUN) {
      writeDifferent(writer, numbers, differentFrom, at);
      writer.varint(2 * (end - at) + 1).varint(zigzag(numbers[at]!));
      differentFrom = end;
    }
    at = end;
  }
  writeDifferent(writer, numbers, differentFrom, numbers.length);
  return writer.finish();
}

/**
 * Reads all numbers of a column; `count`, where it is known, must be how many there are. Throws
 * `DamageError`.
 */
export function unpackNumbers(bytes: Uint8Array, where: string, count?: number): number[] {
  const limit = count ?? MAX_COLUMN_COUNT;
  const reader = new ByteReader(bytes, where);
  const numbers: number[] = [];
  while (reader.remaining > 0) {
    const head = reader.varint();
    const length = Math.floor(head / 2);
    if (length > limit - numbers.length)
      throw new DamageError(where, `a column has more than ${limit} numbers`);
    if (head % 2 === 1) {
      const number = unzigzag(reader.varint());
      for (let left = length; left > 0; left--) numbers.push(number);
    } else {
      for (let left = length; left > 0; left--) numbers.push(unzigzag(reader.varint()));
    }
  }
  if (count !== undefined && numbers.length !== count) {
    throw new DamageError(where, `a column has ${numbers.length} numbers instead of ${count}`);
  }
  return numbers;
}

/** Packs numbers that are not negative, by their differences. */
export function packSteps(numbers: readonly number[]): Uint8Array {
  let before = 0;
  const steps = numbers.map((number) => {
    const step = checkNumber(number) - before;
    before = number;
    return step;
  });
  return packNumbers(steps);
}

/** Reads what `packSteps` wrote. */
export function unpackSteps(bytes: Uint8Array, where: string, count?: number): number[] {
  const numbers = unpackNumbers(bytes, where, count);
  let before = 0;
  for (let index = 0; index < numbers.length; index++) {
    before += numbers[index]!;
    numbers[index] = checkRead(before, where);
  }
  return numbers;
}

/** Packs runs, pairs of first and count: each first by its distance from the end of the run before. */
export function packRuns(runs: readonly number[]): Uint8Array {
  if (runs.length % 2 !== 0) throw new UsageError("runs", "runs are pairs of first and count");
  let end = 0;
  const numbers = runs.map((number, index) => {
    checkNumber(number);
    if (index % 2 === 1) {
      end = checkNumber(end + number);
      return number;
    }
    const step = number - end;
    end = number;
    return step;
  });
  return packNumbers(numbers);
}

/** Reads what `packRuns` wrote. */
export function unpackRuns(bytes: Uint8Array, where: string): number[] {
  const numbers = unpackNumbers(bytes, where);
  if (numbers.length % 2 !== 0) throw new DamageError(where, "a run has no count");
  let end = 0;
  for (let index = 0; index < numbers.length; index += 2) {
    numbers[index] = checkRead(end + numbers[index]!, where);
    end = checkRead(numbers[index]! + checkRead(numbers[index + 1]!, where), where);
  }
  return numbers;
}

/** Packs ids of 16 bytes each. */
export function packIds(ids: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter(2 * ID_BYTES);
  let before: Uint8Array = new Uint8Array(0);
  for (const id of ids) {
    if (id.length !== ID_BYTES)
      throw new UsageError("id", `a record id has ${ID_BYTES} bytes, not ${id.length}`);
    let shared = 0;
    while (shared < before.length && before[shared] === id[shared]) shared++;
    writer.u8(shared).bytes(id.subarray(shared));
    before = id;
  }
  return writer.finish();
}

/** Reads what `packIds` wrote. */
export function unpackIds(bytes: Uint8Array, where: string): Uint8Array[] {
  const reader = new ByteReader(bytes, where);
  const ids: Uint8Array[] = [];
  let before: Uint8Array | undefined;
  while (reader.remaining > 0) {
    const shared = reader.u8();
    if (shared > (before === undefined ? 0 : ID_BYTES)) {
      throw new DamageError(where, `an id shares ${shared} bytes with the one before`);
    }
    const id: Uint8Array = new Uint8Array(ID_BYTES);
    if (before !== undefined) id.set(before.subarray(0, shared));
    id.set(reader.bytes(ID_BYTES - shared), shared);
    ids.push(id);
    before = id;
  }
  return ids;
}

/** Checks that a number can stand in a column. */
function checkNumber(number: number): number {
  if (!Number.isSafeInteger(number) || number < 0 || number > MAX_COLUMN_NUMBER) {
    throw new UsageError("number", `${number} is not a whole number from 0 to ${MAX_COLUMN_NUMBER}`);
  }
  return number;
}

function checkRead(number: number, where: string): number {
  if (number < 0 || number > MAX_COLUMN_NUMBER) throw new DamageError(where, `${number} in a column`);
  return number;
}

function writeDifferent(writer: ByteWriter, numbers: readonly number[], from: number, to: number): void {
  if (from === to) return;
  writer.varint(2 * (to - from));
  for (let index = from; index < to; index++) writer.varint(zigzag(numbers[index]!));
}

function zigzag(number: number): number {
  return number < 0 ? -2 * number - 1 : 2 * number;
}

function unzigzag(code: number): number {
  return code % 2 === 0 ? code / 2 : -(code + 1) / 2;
}
