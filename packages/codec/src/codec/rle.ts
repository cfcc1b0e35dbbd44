/**
 * Run-length coding of elements of 1 to 16 bytes: runs of equal elements, and stretches of different ones as
 * they are. Nothing else is looked for, so it is fast both ways and bounded by memory's speed where there are
 * no runs.
 *
 *     0  u8      bytes of an element, 1-16
 *     1  varint  bytes of the controls
 *     .  controls, a varint each: count * 2 + 1 is a run of `count` elements, count * 2 that many different ones
 *     .  elements: one for a run, `count` for the others, in order
 *     .  the bytes behind the last whole element, as they are
 */
import type { JsonObject } from "../bytes/json.ts";
import { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { elementBytesOf, type Units, unitBytesOf, unitsOf } from "./elements.ts";
import { integerParameter } from "./parameters.ts";

const MAX_ELEMENT_BYTES = 16;
/** Element width and length of the controls: fewer than 2^28 control bytes come of a chunk. */
const MAX_HEADER_BYTES = 1 + 4;

export const rle: Codec = {
  id: "rle",
  code: 11,
  // By the dtype where it comes first, by bytes behind other steps.
  kind: "bytes-to-bytes",

  /** `elementBytes` (1-16) overrides what the dtype says. */
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["elementBytes"], "rle");
    if (parameters.elementBytes === undefined) return {};
    const range = { minimum: 1, maximum: MAX_ELEMENT_BYTES, fallback: 1 };
    return { elementBytes: integerParameter(parameters, "elementBytes", "rle", range) };
  },

  encode(input: Uint8Array, context: EncodeContext, parameters: JsonObject): Uint8Array {
    const elementBytes = (parameters.elementBytes as number | undefined) ?? elementBytesOf(context.dtype);
    const unitBytes = unitBytesOf(elementBytes);
    const perElement = elementBytes / unitBytes;
    const elements = Math.floor(input.length / elementBytes);
    const units = unitsOf(input, unitBytes, elements * perElement);
    const controls = new ByteWriter();
    const kept = new Uint8Array(elements * elementBytes);
    const keptUnits = unitsOf(kept, unitBytes, units.length);
    const keptCount = encodeRuns(units, perElement, elementBytes === 1 ? 3 : 2, controls, keptUnits);

    const header = new ByteWriter(MAX_HEADER_BYTES).u8(elementBytes).varint(controls.length);
    const keptBytes = keptCount * unitBytes;
    const tail = input.subarray(elements * elementBytes);
    const output = new Uint8Array(header.length + controls.length + keptBytes + tail.length);
    output.set(header.finish());
    output.set(controls.finish(), header.length);
    output.set(kept.subarray(0, keptBytes), header.length + controls.length);
    output.set(tail, output.length - tail.length);
    return output;
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    const reader = new ByteReader(input, "rle");
    const elementBytes = reader.u8();
    if (elementBytes < 1 || elementBytes > MAX_ELEMENT_BYTES) {
      throw new DamageError("rle", `elements of ${elementBytes} bytes`);
    }
    const controls = new ByteReader(reader.bytes(reader.varint()), "rle");
    const output = new Uint8Array(context.bytes);
    const end = context.bytes - (context.bytes % elementBytes);
    let at = 0;
    while (controls.remaining > 0) {
      const control = controls.varint();
      const bytes = Math.floor(control / 2) * elementBytes;
      if (bytes === 0 || bytes > end - at) {
        throw new DamageError("rle", `${bytes} bytes at ${at}, ${end} were declared`);
      }
      if (control % 2 === 0) output.set(reader.bytes(bytes), at);
      else repeat(output, at, bytes, reader.bytes(elementBytes));
      at += bytes;
    }
    const tail = context.bytes - end;
    if (at !== end || reader.remaining !== tail) {
      throw new DamageError(
        "rle",
        `decoded to ${at + reader.remaining} bytes, ${context.bytes} were declared`,
      );
    }
    output.set(reader.bytes(tail), end);
    return output;
  },
};

/**
 * Writes the controls and the elements that stay into `kept`; returns the number of units in it. Runs shorter
 * than `shortest` cost more than they save and stay among the different elements.
 */
function encodeRuns(
  units: Units,
  perElement: number,
  shortest: number,
  controls: ByteWriter,
  kept: Units,
): number {
  const elements = units.length / perElement;
  let keptUnits = 0;
  let pending = 0;
  for (let start = 0; start < elements; ) {
    const stop = endOfRun(units, perElement, start);
    if (stop - start >= shortest) {
      if (pending < start) {
        controls.varint((start - pending) * 2);
        keptUnits = copy(units, pending * perElement, start * perElement, kept, keptUnits);
      }
      controls.varint((stop - start) * 2 + 1);
      keptUnits = copy(units, start * perElement, (start + 1) * perElement, kept, keptUnits);
      pending = stop;
    }
    start = stop;
  }
  if (pending < elements) {
    controls.varint((elements - pending) * 2);
    keptUnits = copy(units, pending * perElement, units.length, kept, keptUnits);
  }
  return keptUnits;
}

/** Index of the first element behind `start` that differs from it. */
function endOfRun(units: Units, perElement: number, start: number): number {
  if (perElement === 1) {
    const value = units[start];
    let index = start + 1;
    while (index < units.length && units[index] === value) index++;
    return index;
  }
  const elements = units.length / perElement;
  // Each unit is compared with the one an element before: the run ends where two differ.
  let at = (start + 1) * perElement;
  while (at < units.length && units[at] === units[at - perElement]) at++;
  return Math.min(Math.floor(at / perElement), elements);
}

/** Below this many units a loop is faster than making a view to copy from. */
const SHORT_COPY_UNITS = 32;

function copy(from: Units, start: number, stop: number, into: Units, at: number): number {
  if (stop - start > SHORT_COPY_UNITS) into.set(from.subarray(start, stop), at);
  else for (let index = start, to = at; index < stop; index++, to++) into[to] = from[index]!;
  return at + stop - start;
}

/** Fills [at, at + bytes) with copies of `element`, doubling what is there already. */
function repeat(output: Uint8Array, at: number, bytes: number, element: Uint8Array): void {
  if (element.length === 1) {
    output.fill(element[0]!, at, at + bytes);
    return;
  }
  output.set(element, at);
  for (let done = element.length; done < bytes; done *= 2) {
    output.copyWithin(at + done, at, at + Math.min(done, bytes - done));
  }
}
