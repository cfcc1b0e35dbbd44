/**
 * Elements as codecs see them that compare or move whole elements: how wide they are, and views of their
 * bytes in units that machines compare at once (1, 2 or 4 bytes; wider elements are several units).
 */
import type { JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";
import type { DType } from "../tensor/dtype.ts";

/** Bytes of a whole element. Elements narrower than a byte are taken as bytes. */
export type ElementBytes = 1 | 2 | 4 | 8 | 16;

/** What elements are compared and moved in. */
export type Units = Uint8Array | Uint16Array | Uint32Array;

/** Bytes of an element of this dtype; 1 for packed ones. */
export function elementBytesOf(dtype: DType): ElementBytes {
  const bytes = dtype.bits / 8;
  return isElementBytes(bytes) ? bytes : 1;
}

/** The parameter `name` if it is there: one of `choices`. Throws `UsageError` for any other value. */
export function bytesParameter<Choice extends number>(
  parameters: JsonObject,
  name: string,
  what: string,
  choices: readonly Choice[],
): Choice | undefined {
  const value = parameters[name];
  if (value === undefined) return undefined;
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  const last = choices[choices.length - 1];
  throw new UsageError(
    name,
    `${what}: ${name} is ${JSON.stringify(value)}; it must be ${choices.slice(0, -1).join(", ")} or ${last}`,
  );
}

/** Bytes of the widest unit that an element of `elementBytes` (any number) is made of. */
export function unitBytesOf(elementBytes: number): 1 | 2 | 4 {
  return elementBytes % 4 === 0 ? 4 : elementBytes % 2 === 0 ? 2 : 1;
}

/** The first bytes of `bytes` as `count` units: a view where they are aligned, else a copy. */
export function unitsOf(bytes: Uint8Array, unitBytes: 1 | 2 | 4, count: number): Units {
  if (unitBytes === 1) return bytes.subarray(0, count);
  const { buffer, byteOffset } =
    // Not `slice`, which makes a view of Node's Buffers.
    bytes.byteOffset % unitBytes === 0 ? bytes : new Uint8Array(bytes.subarray(0, count * unitBytes));
  return unitBytes === 2
    ? new Uint16Array(buffer, byteOffset, count)
    : new Uint32Array(buffer, byteOffset, count);
}

/** Memory for `head + bytes + tail` decoded bytes; `words`, the bytes in the middle, begin at a whole word. */
export function outputAround(
  head: number,
  bytes: number,
  tail: number,
): { output: Uint8Array; words: Uint8Array } {
  const start = (head + 7) & ~7;
  const memory = new Uint8Array(start + bytes + tail);
  return { output: memory.subarray(start - head), words: memory.subarray(start, start + bytes) };
}

function isElementBytes(value: number): value is ElementBytes {
  return value === 1 || value === 2 || value === 4 || value === 8 || value === 16;
}
