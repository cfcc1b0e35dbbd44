/**
 * Elements in the typed fields of a `TensorProto`, decoded piece by piece. Such a field comes packed (runs of
 * encoded numbers), as single numbers with a tag each, or mixed; all of it, in the order of the file, is the tensor.
 * Numbers are varints of 1 to 10 bytes; narrow types lie in `int32_data` as integers or as the bits of the float:
 *
 *     int32_data   int32; int16, uint16, float16, bfloat16; int8, uint8, bool, float8; a byte of two 4-bit elements
 *     int64_data   int64                   uint64_data   uint64, uint32
 *     float_data   4 bytes each: float32, the components of complex64         double_data   8 bytes each, likewise
 */
import { type DType, InvalidFileError } from "@tensorcask/codec";
import type { Source } from "../../model/plan.ts";
import { DOUBLE_DATA, FLOAT_DATA } from "./data-types.ts";
import { entryCount, type OnnxTensor } from "./tensor-data.ts";
import type { Range } from "./tensor-message.ts";
import { FIXED32, FIXED64, LENGTH_DELIMITED, MAX_VARINT_BYTES, VARINT, WireReader } from "./wire.ts";

/** Most bytes that are given out at once. */
const PIECE_BYTES = 64 * 1024;

/**
 * The elements of a tensor whose messages lie at `ranges`, taken from its field `field`. Throws `InvalidFileError`:
 * rules `size-mismatch` (more or fewer numbers than the shape takes), `value-range` (a number that the type does
 * not hold), `varint`, `truncated`.
 */
export async function* typedElements(
  source: Source,
  tensor: OnnxTensor,
  field: number,
  ranges: readonly Range[],
): AsyncGenerator<Uint8Array> {
  if (field === FLOAT_DATA || field === DOUBLE_DATA) {
    // The plan has counted them.
    yield* encodedNumbers(source, field, field === FLOAT_DATA ? FIXED32 : FIXED64, ranges);
    return;
  }
  const decoder = new VarintDecoder(source.name, tensor);
  for await (const encoded of encodedNumbers(source, field, VARINT, ranges)) {
    let at = 0;
    while (at < encoded.length) {
      at = decoder.decode(encoded, at);
      if (decoder.isFull) yield decoder.take();
    }
  }
  yield decoder.finish();
}

/** The encoded numbers of a field, without tags and lengths, as if they were one packed run. */
async function* encodedNumbers(
  source: Source,
  field: number,
  wireType: number,
  ranges: readonly Range[],
): AsyncGenerator<Uint8Array> {
  const reader = new WireReader(source);
  let singles = new Uint8Array(0);
  let held = 0;
  for (const { offset, bytes } of ranges) {
    const end = offset + bytes;
    reader.position = offset;
    while (reader.position < end) {
      if (reader.lacks()) await reader.fill();
      reader.tag(end);
      if (reader.field === field && reader.wireType === wireType) {
        const from = reader.position;
        reader.skip(end);
        const taken = reader.position - from;
        reader.position = from;
        if (singles.length === 0) singles = new Uint8Array(PIECE_BYTES);
        if (held + taken > singles.length) {
          yield singles.subarray(0, held);
          held = 0;
        }
        singles.set(reader.take(taken), held);
        held += taken;
      } else if (reader.field === field && reader.wireType === LENGTH_DELIMITED) {
        if (held > 0) {
          yield singles.subarray(0, held);
          held = 0;
        }
        yield* packedRun(reader, reader.length(end), wireType);
      } else {
        reader.skip(end);
      }
    }
  }
  if (held > 0) yield singles.subarray(0, held);
}

/** The next so many bytes. A run of varints must end with the last of one. */
async function* packedRun(reader: WireReader, bytes: number, wireType: number): AsyncGenerator<Uint8Array> {
  const end = reader.position + bytes;
  while (reader.position < end) {
    if (reader.lacks()) await reader.fill();
    const piece = reader.take(end - reader.position);
    if (reader.position === end && wireType === VARINT && piece.at(-1)! >= 0x80) {
      throw reader.invalid("truncated", end, `a number of field ${reader.field} is cut off`);
    }
    yield piece;
  }
}

/** Numbers that are decoded before they become elements. */
const BATCH = PIECE_BYTES / 8;

/** Turns varints, cut anywhere, into elements: first into halves of 64 bits, then into what the type takes. */
class VarintDecoder {
  readonly #file: string;
  readonly #tensor: OnnxTensor;
  readonly #entries: number;
  readonly #out: DataView<ArrayBuffer>;
  /** The halves of the numbers that are decoded, and how many there are. */
  readonly #lows: Int32Array;
  readonly #highs: Int32Array;
  #count = 0;
  /** Numbers given out before. */
  #given = 0;
  /** The number that is being read: its halves so far, and how many bytes of it there were. */
  #low = 0;
  #high = 0;
  #bytes = 0;

  constructor(file: string, tensor: OnnxTensor) {
    this.#file = file;
    this.#tensor = tensor;
    this.#entries = entryCount(tensor);
    const batch = Math.min(BATCH, this.#entries);
    this.#lows = new Int32Array(batch);
    this.#highs = new Int32Array(batch);
    this.#out = new DataView(new ArrayBuffer(Math.ceil((batch * tensor.bytes) / this.#entries)));
  }

  /** Whether `take` must be called before more is decoded. */
  get isFull(): boolean {
    return this.#count === this.#lows.length;
  }

  /** Decodes from `at` on until a batch is full or the input ends; gives back where it stopped. */
  decode(encoded: Uint8Array, at: number): number {
    const lows = this.#lows;
    const highs = this.#highs;
    let count = this.#count;
    let low = this.#low;
    let high = this.#high;
    let bytes = this.#bytes;
    while (at < encoded.length && count < lows.length) {
      const byte = encoded[at++]!;
      const bits = byte & 0x7f;
      const shift = 7 * bytes++;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        lows[count] = low;
        highs[count++] = high;
        low = 0;
        high = 0;
        bytes = 0;
      } else if (bytes === MAX_VARINT_BYTES) {
        throw this.#invalid("varint", count, "goes on for more than 10 bytes");
      }
    }
    this.#count = count;
    this.#low = low;
    this.#high = high;
    this.#bytes = bytes;
    if (this.#given + count > this.#entries) throw this.#mismatch("more");
    return at;
  }

  /** The elements decoded since the last call; valid until the next one. */
  take(): Uint8Array {
    const bytes = this.#put(this.#tensor.dtype);
    this.#given += this.#count;
    this.#count = 0;
    return new Uint8Array(this.#out.buffer, 0, bytes);
  }

  /** The last elements. */
  finish(): Uint8Array {
    const last = this.take();
    if (this.#given !== this.#entries) throw this.#mismatch(this.#given);
    return last;
  }

  /** Writes the batch as elements; gives back their size in bytes. */
  #put({ name, bits }: DType): number {
    const out = this.#out;
    const lows = this.#lows;
    const count = this.#count;
    if (bits === 64) {
      for (let index = 0; index < count; index++) {
        out.setInt32(8 * index, lows[index]!, true);
        out.setInt32(8 * index + 4, this.#highs[index]!, true);
      }
      return 8 * count;
    }
    if (bits === 32) {
      if (name === "uint32") this.#checkHighs();
      // As in protobuf, an int32 is the low half of its varint.
      for (let index = 0; index < count; index++) out.setInt32(4 * index, lows[index]!, true);
      return 4 * count;
    }
    if (bits === 16) {
      this.#checkLows(16);
      for (let index = 0; index < count; index++) out.setInt16(2 * index, lows[index]!, true);
      return 2 * count;
    }
    if (name === "bool") {
      for (let index = 0; index < count; index++) out.setInt8(index, lows[index] === 0 ? 0 : 1);
      return count;
    }
    this.#checkLows(8);
    for (let index = 0; index < count; index++) out.setInt8(index, lows[index]!);
    return count;
  }

  /** Integers of so many bits come with their sign or without. */
  #checkLows(bits: number): void {
    const [least, most] = [-(2 ** (bits - 1)), 2 ** bits - 1];
    const lows = this.#lows;
    for (let index = 0; index < this.#count; index++) {
      const value = lows[index]!;
      if (value < least || value > most) throw this.#invalid("value-range", index, `is over ${bits} bits`);
    }
  }

  #checkHighs(): void {
    const index = this.#highs.findIndex((high, at) => high !== 0 && at < this.#count);
    if (index >= 0) throw this.#invalid("value-range", index, "is over 32 bits");
  }

  #invalid(rule: string, index: number, problem: string): InvalidFileError {
    const message = `number ${this.#given + index} of its elements ${problem}`;
    return new InvalidFileError(this.#file, rule, message, { tensor: this.#tensor.name });
  }

  #mismatch(found: number | "more"): InvalidFileError {
    const message = `it has ${found} numbers where its dims take ${this.#entries}`;
    return new InvalidFileError(this.#file, "size-mismatch", message, { tensor: this.#tensor.name });
  }
}
