/**
 * Elements that are mostly zero: where the others are, and what they are. Zero means all bits: -0.0 and a
 * denormal are kept as they are.
 *
 *     0  u8      bits 0-2: log2 of the bytes of an element (0-4); bits 3-4: form; bit 5: the values are a
 *                payload of `planes`, else plain; bits 6-7: bytes before the first element
 *     1  varint  count of the non-zero elements                           (forms 1 and 2)
 *     .  form 1: a stream of the bitmap, element i in bit i % 8 of byte i / 8, unused bits 0
 *        form 2: varint length of the gaps, and a stream of them: before each non-zero element the number of
 *                zeros, a varint
 *     .  the bytes before the first and behind the last whole element, as they are
 *     .  the non-zero elements, in order, up to the end
 *
 *     form 0: all elements are zero; form 3: all of them are values, no places are needed (nothing is zero)
 *
 * Streams are coded (streams.ts), so that places cost what they tell: at 92 % zeros, strewn at random, 0.40
 * bits an element. Zeros in blocks or rows leave runs in either form, which the coders find.
 */
import type { JsonObject } from "../bytes/json.ts";
import { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { DType } from "../tensor/dtype.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import {
  bytesParameter,
  type ElementBytes,
  elementBytesOf,
  outputAround,
  type Units,
  unitBytesOf,
  unitsOf,
} from "./elements.ts";
import { integerParameter } from "./parameters.ts";
import { planes, wordBytesOf } from "./planes.ts";
import { encodeStream, readStream, writeStream } from "./streams.ts";

const ELEMENT_BYTES: readonly ElementBytes[] = [1, 2, 4, 8, 16];
const ALL_ZERO = 0;
const BITMAP = 1;
const GAPS = 2;
const NO_ZERO = 3;
const FORM_SHIFT = 3;
const VALUE_PLANES = 0x20;
const SKIP_SHIFT = 6;
const MAX_SKIP = 3;
/** Gaps are tried where at most one element in this many is not zero; denser, they never won. */
const SPARSE_FACTOR = 4;
/** A gap below 2^28 is a varint of 4 bytes. */
const MAX_GAP_BYTES = 4;

export const sparse: Codec = {
  id: "sparse",
  code: 13,
  kind: "array-to-bytes",

  /**
   * `elementBytes` overrides what the dtype says; `skip` (0-3) is how many bytes come before the first element,
   * for opaque bytes that hold numbers somewhere.
   */
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["elementBytes", "skip"], "sparse");
    bytesParameter(parameters, "elementBytes", "sparse", ELEMENT_BYTES);
    const skip = integerParameter(parameters, "skip", "sparse", {
      minimum: 0,
      maximum: MAX_SKIP,
      fallback: 0,
    });
    return { ...parameters, skip };
  },

  encode(input: Uint8Array, context: EncodeContext, parameters: JsonObject): Uint8Array {
    const own = parameters.elementBytes as ElementBytes | undefined;
    const elementBytes = own ?? elementBytesOf(context.dtype);
    const unitBytes = unitBytesOf(elementBytes);
    const perElement = elementBytes / unitBytes;
    const skip = Math.min(parameters.skip as number, input.length);
    const elements = Math.floor((input.length - skip) / elementBytes);
    const units = unitsOf(input.subarray(skip), unitBytes, elements * perElement);

    const bitmap = new Uint8Array(Math.ceil(elements / 32) * 4);
    const values = new Uint8Array(units.length * unitBytes);
    const count = takeApart(
      units,
      perElement,
      new Uint32Array(bitmap.buffer),
      unitsOf(values, unitBytes, units.length),
    );
    const kept = values.subarray(0, count * elementBytes);
    const inPlanes = planes.encode(kept, context, planeParameters(elementBytes, context.dtype, own));
    const payload = inPlanes.length < kept.length ? inPlanes : kept;
    const flags = Math.log2(elementBytes) | (payload === inPlanes ? VALUE_PLANES : 0) | (skip << SKIP_SHIFT);

    const writer = new ByteWriter(64 + payload.length + (bitmap.length >> 1));
    if (count === 0) writer.u8(flags | (ALL_ZERO << FORM_SHIFT));
    else if (count === elements) writer.u8(flags | (NO_ZERO << FORM_SHIFT));
    else writePlaces(writer, flags, bitmap.subarray(0, Math.ceil(elements / 8)), elements, count);
    const tail = input.subarray(skip + elements * elementBytes);
    return writer.bytes(input.subarray(0, skip)).bytes(tail).bytes(payload).finish();
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    const reader = new ByteReader(input, "sparse");
    const flags = reader.u8();
    const elementBytes = ELEMENT_BYTES[flags & 0x07];
    const skip = flags >> SKIP_SHIFT;
    if (elementBytes === undefined || skip > context.bytes) {
      throw new DamageError("sparse", `unknown layout ${flags}`);
    }
    const form = (flags >> FORM_SHIFT) & 3;
    const elements = Math.floor((context.bytes - skip) / elementBytes);
    const count = form === ALL_ZERO ? 0 : form === NO_ZERO ? elements : reader.varint();
    if (count > elements) throw new DamageError("sparse", `${count} of ${elements} elements are not zero`);
    const places =
      form === BITMAP
        ? readStream(reader, Math.ceil(elements / 8))
        : form === GAPS
          ? readGaps(reader, count, elements)
          : undefined;

    const head = reader.bytes(skip);
    const tailStart = skip + elements * elementBytes;
    const tail = reader.bytes(context.bytes - tailStart);
    const kept = reader.bytes(reader.remaining);
    const bytes = count * elementBytes;
    const values = (flags & VALUE_PLANES) === 0 ? kept : planes.decode(kept, { ...context, bytes });
    if (values.length !== bytes) {
      throw new DamageError("sparse", `${values.length} bytes of values, ${bytes} were declared`);
    }
    const unitBytes = unitBytesOf(elementBytes);
    const perElement = elementBytes / unitBytes;
    const from = unitsOf(values, unitBytes, count * perElement);
    const { output, words } = outputAround(skip, elements * elementBytes, tail.length);
    output.set(head);
    output.set(tail, tailStart);
    const into = unitsOf(words, unitBytes, elements * perElement);
    if (form === NO_ZERO) into.set(from);
    else if (places !== undefined) {
      const put = form === BITMAP ? putByBitmap : putByGaps;
      if (!put(places, from, into, perElement)) throw new DamageError("sparse", "the places are wrong");
    }
    return output;
  },
};

/** How `planes` is to take the values: by the dtype where the width is the dtype's own. */
function planeParameters(
  elementBytes: ElementBytes,
  dtype: DType,
  own: ElementBytes | undefined,
): JsonObject {
  if (own === undefined || own === elementBytesOf(dtype)) return {};
  const wordBytes = elementBytes === 16 ? 8 : elementBytes;
  // Bytes that hold elements of another width than they say are float weights most of all.
  return wordBytesOf(dtype) === 1 ? { wordBytes, rotate: true } : { wordBytes };
}

/** Writes the form with the smaller stream. */
function writePlaces(
  writer: ByteWriter,
  flags: number,
  bitmap: Uint8Array,
  elements: number,
  count: number,
): void {
  const inBitmap = encodeStream(bitmap, false);
  if (count * SPARSE_FACTOR <= elements) {
    const gaps = gapsOf(bitmap, count);
    const inGaps = encodeStream(gaps, false);
    if (inGaps.payload.length + MAX_GAP_BYTES < inBitmap.payload.length) {
      writer
        .u8(flags | (GAPS << FORM_SHIFT))
        .varint(count)
        .varint(gaps.length);
      writeStream(writer, inGaps);
      return;
    }
  }
  writer.u8(flags | (BITMAP << FORM_SHIFT)).varint(count);
  writeStream(writer, inBitmap);
}

function readGaps(reader: ByteReader, count: number, elements: number): Uint8Array {
  const bytes = reader.varint();
  // A gap never takes more bytes than it spans elements, its own included: so far a damaged length may go.
  if (bytes < count || bytes > elements) {
    throw new DamageError("sparse", `${bytes} bytes are not ${count} gaps`);
  }
  return readStream(reader, bytes);
}

/** Sets the bits of the elements that are not zero, and packs those into `values`; returns how many there are. */
function takeApart(units: Units, perElement: number, bitmap: Uint32Array, values: Units): number {
  let count = 0;
  let bits = 0;
  if (perElement === 1) {
    for (let index = 0; index < units.length; index++) {
      const value = units[index]!;
      values[count] = value;
      const isKept = value === 0 ? 0 : 1;
      count += isKept;
      bits |= isKept << (index & 31);
      if ((index & 31) === 31) {
        bitmap[index >> 5] = bits;
        bits = 0;
      }
    }
    // What was tried behind the last kept element is no value; nobody reads it.
    if ((units.length & 31) !== 0) bitmap[units.length >> 5] = bits;
    return count;
  }
  for (let index = 0, at = 0; at < units.length; index++, at += perElement) {
    let any = 0;
    for (let unit = 0; unit < perElement; unit++) any |= units[at + unit]!;
    if (any === 0) continue;
    for (let unit = 0; unit < perElement; unit++) values[count * perElement + unit] = units[at + unit]!;
    count++;
    bitmap[index >> 5]! |= 1 << (index & 31);
  }
  return count;
}

function gapsOf(bitmap: Uint8Array, count: number): Uint8Array {
  const gaps = new Uint8Array(count * MAX_GAP_BYTES);
  let at = 0;
  let next = 0;
  for (let byte = 0; byte < bitmap.length; byte++) {
    for (let bits = bitmap[byte]!; bits !== 0; bits &= bits - 1) {
      const index = byte * 8 + 31 - Math.clz32(bits & -bits);
      let gap = index - next;
      next = index + 1;
      for (; gap >= 0x80; gap >>>= 7) gaps[at++] = gap | 0x80;
      gaps[at++] = gap;
    }
  }
  return gaps.subarray(0, at);
}

/** Whether the places were as many as the values, and inside the output. */
function putByBitmap(bitmap: Uint8Array, values: Units, into: Units, perElement: number): boolean {
  let from = 0;
  for (let byte = 0; byte < bitmap.length; byte++) {
    for (let bits = bitmap[byte]!; bits !== 0; bits &= bits - 1) {
      const to = (byte * 8 + 31 - Math.clz32(bits & -bits)) * perElement;
      if (to >= into.length || from >= values.length) return false;
      for (let unit = 0; unit < perElement; unit++) into[to + unit] = values[from++]!;
    }
  }
  return from === values.length;
}

function putByGaps(gaps: Uint8Array, values: Units, into: Units, perElement: number): boolean {
  let from = 0;
  let to = 0;
  for (let at = 0; at < gaps.length; ) {
    let gap = 0;
    let byte = 0x80;
    for (let shift = 0; byte >= 0x80; shift += 7) {
      if (at === gaps.length || shift === 7 * MAX_GAP_BYTES) return false;
      byte = gaps[at++]!;
      gap |= (byte & 0x7f) << shift;
    }
    to += gap * perElement;
    if (to >= into.length || from >= values.length) return false;
    for (let unit = 0; unit < perElement; unit++) into[to++] = values[from++]!;
  }
  return from === values.length;
}
