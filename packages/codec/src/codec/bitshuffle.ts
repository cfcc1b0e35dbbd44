/**
 * Bit planes, as in Bitshuffle and Blosc: bit b of all elements of a block lies together, so that bits that
 * never change (high bits of small integers, low bits of rounded floats) become runs for the codec behind.
 * It saves nothing itself.
 *
 *     0  u8  bytes of an element (1, 2, 4, 8, 16)
 *     1  u8  log2 of the bytes of a block (10-20)
 *     2  the blocks; the last one may be shorter
 *     .  the bytes behind the last whole element, as they are
 *
 *     block of n elements: for byte k of an element, for bit b: one row of n / 8 bytes, the bits b of bytes k
 *                          (element i in bit i % 8 of byte i / 8); n % 8 elements at the end stay as they are
 *
 * A block is taken apart into byte planes first; then 8 x 8 matrices of bits are transposed in pairs of 32-bit
 * words (Hacker's Delight, 7-3), four at a time, so that rows are written a word at once.
 */
import { joinPlanes, splitPlanes } from "@tensorcask/kernels";
import type { JsonObject } from "../bytes/json.ts";
import { ByteReader } from "../bytes/reader.ts";
import { DamageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { bytesParameter, type ElementBytes, elementBytesOf } from "./elements.ts";

const HEADER_BYTES = 2;
/** 32 KiB: block, planes and rows stay in a core's second-level cache, the rows are long enough for a codec. */
const BLOCK_LOG = 15;
const MIN_BLOCK_LOG = 10;
/** Four megabytes of scratch at most, whatever a damaged header says. */
const MAX_BLOCK_LOG = 20;
const ELEMENT_BYTES: readonly ElementBytes[] = [1, 2, 4, 8, 16];

export const bitshuffle: Codec = {
  id: "bitshuffle",
  code: 8,
  kind: "array-to-bytes",

  /** `elementBytes` overrides what the dtype says. */
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["elementBytes"], "bitshuffle");
    bytesParameter(parameters, "elementBytes", "bitshuffle", ELEMENT_BYTES);
    return parameters;
  },

  encode(input: Uint8Array, context: EncodeContext, parameters: JsonObject): Uint8Array {
    const elementBytes =
      (parameters.elementBytes as ElementBytes | undefined) ?? elementBytesOf(context.dtype);
    const output = new Uint8Array(HEADER_BYTES + input.length);
    output[0] = elementBytes;
    output[1] = BLOCK_LOG;
    transform(input, output.subarray(HEADER_BYTES), elementBytes, 1 << BLOCK_LOG, shuffleBlock);
    return output;
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    const reader = new ByteReader(input, "bitshuffle");
    const elementBytes = reader.u8();
    const blockLog = reader.u8();
    const known = ELEMENT_BYTES.find((bytes) => bytes === elementBytes);
    if (known === undefined || blockLog < MIN_BLOCK_LOG || blockLog > MAX_BLOCK_LOG) {
      throw new DamageError("bitshuffle", `elements of ${elementBytes} bytes in blocks of 2^${blockLog}`);
    }
    if (reader.remaining !== context.bytes) {
      throw new DamageError("bitshuffle", `holds ${reader.remaining} bytes, ${context.bytes} were declared`);
    }
    const output = new Uint8Array(context.bytes);
    transform(reader.bytes(context.bytes), output, known, 1 << blockLog, unshuffleBlock);
    return output;
  },
};

/** Planes and rows of one block; both are whole words. */
interface BlockScratch {
  readonly planes: Uint8Array;
  readonly planeWords: Uint32Array;
  readonly rows: Uint8Array;
  readonly rowWords: Uint32Array;
}

type BlockTransform = (
  from: Uint8Array,
  into: Uint8Array,
  elementBytes: ElementBytes,
  scratch: BlockScratch,
) => void;

let scratch = scratchOf(0);

/** Runs `block` over blocks of eights of elements; everything behind the last eight is copied. */
function transform(
  from: Uint8Array,
  into: Uint8Array,
  elementBytes: ElementBytes,
  blockBytes: number,
  block: BlockTransform,
): void {
  const eights = 8 * elementBytes;
  const end = from.length - (from.length % eights);
  if (scratch.planes.length < Math.min(blockBytes, end)) scratch = scratchOf(blockBytes);
  for (let start = 0; start < end; start += blockBytes) {
    const stop = Math.min(start + blockBytes, end);
    block(from.subarray(start, stop), into.subarray(start, stop), elementBytes, scratch);
  }
  into.set(from.subarray(end), end);
}

function scratchOf(bytes: number): BlockScratch {
  const planes = new Uint8Array(bytes);
  const rows = new Uint8Array(bytes);
  return {
    planes,
    planeWords: new Uint32Array(planes.buffer),
    rows,
    rowWords: new Uint32Array(rows.buffer),
  };
}

function shuffleBlock(
  from: Uint8Array,
  into: Uint8Array,
  elementBytes: ElementBytes,
  { planes, planeWords, rows, rowWords }: BlockScratch,
): void {
  const count = from.length / elementBytes;
  splitBytes(from, elementBytes, planes);
  const rowBytes = count / 8;
  for (let plane = 0; plane < elementBytes; plane++) {
    const first = plane * count;
    let done = 0;
    // Rows begin at whole words where they are whole words long.
    if (rowBytes % 4 === 0) {
      shuffleWords(planeWords, first >> 2, rowWords, first >> 2, rowBytes >> 2);
      done = rowBytes;
    }
    for (let at = done; at < rowBytes; at++) {
      const from = (first >> 2) + 2 * at;
      const low = transposed(planeWords[from]!, planeWords[from + 1]!);
      const high = transposedHigh;
      for (let bit = 0; bit < 4; bit++) {
        rows[first + bit * rowBytes + at] = low >>> (8 * bit);
        rows[first + (bit + 4) * rowBytes + at] = high >>> (8 * bit);
      }
    }
  }
  into.set(rows.subarray(0, from.length));
}

function unshuffleBlock(
  from: Uint8Array,
  into: Uint8Array,
  elementBytes: ElementBytes,
  { planes, planeWords, rows, rowWords }: BlockScratch,
): void {
  const count = from.length / elementBytes;
  rows.set(from);
  const rowBytes = count / 8;
  for (let plane = 0; plane < elementBytes; plane++) {
    const first = plane * count;
    let done = 0;
    if (rowBytes % 4 === 0) {
      unshuffleWords(rowWords, first >> 2, planeWords, first >> 2, rowBytes >> 2);
      done = rowBytes;
    }
    for (let at = done; at < rowBytes; at++) {
      let low = 0;
      let high = 0;
      for (let bit = 0; bit < 4; bit++) {
        low |= rows[first + bit * rowBytes + at]! << (8 * bit);
        high |= rows[first + (bit + 4) * rowBytes + at]! << (8 * bit);
      }
      const into = (first >> 2) + 2 * at;
      planeWords[into] = transposed(low, high);
      planeWords[into + 1] = transposedHigh;
    }
  }
  joinBytes(planes, elementBytes, into);
}

/** The upper word of the last `transposed`: two results without an object for them. */
let transposedHigh = 0;

/** Transposes the 8 x 8 bits of two words (row i is byte i); its own inverse. */
function transposed(low: number, high: number): number {
  let a = low;
  let b = high;
  let swap = (a ^ (a >>> 7)) & 0x00aa00aa;
  a ^= swap ^ (swap << 7);
  swap = (b ^ (b >>> 7)) & 0x00aa00aa;
  b ^= swap ^ (swap << 7);
  swap = (a ^ (a >>> 14)) & 0x0000cccc;
  a ^= swap ^ (swap << 14);
  swap = (b ^ (b >>> 14)) & 0x0000cccc;
  b ^= swap ^ (swap << 14);
  swap = (a ^ (b << 4)) & 0xf0f0f0f0;
  transposedHigh = b ^ (swap >>> 4);
  return a ^ swap;
}

/** Planes to rows, 32 elements at a time: `rowWords` words to each of the 8 rows from `to` on. */
function shuffleWords(planes: Uint32Array, from: number, rows: Uint32Array, to: number, words: number): void {
  for (let word = 0, at = from; word < words; word++, at += 8) {
    const a = transposed(planes[at]!, planes[at + 1]!);
    const aHigh = transposedHigh;
    const b = transposed(planes[at + 2]!, planes[at + 3]!);
    const bHigh = transposedHigh;
    const c = transposed(planes[at + 4]!, planes[at + 5]!);
    const cHigh = transposedHigh;
    const d = transposed(planes[at + 6]!, planes[at + 7]!);
    const dHigh = transposedHigh;
    transposeBytes(a, b, c, d, rows, to + word, words);
    transposeBytes(aHigh, bHigh, cHigh, dHigh, rows, to + 4 * words + word, words);
  }
}

const gathered = new Uint32Array(8);

function unshuffleWords(
  rows: Uint32Array,
  from: number,
  planes: Uint32Array,
  to: number,
  words: number,
): void {
  for (let word = 0, at = to; word < words; word++, at += 8) {
    const row = from + word;
    transposeBytes(
      rows[row]!,
      rows[row + words]!,
      rows[row + 2 * words]!,
      rows[row + 3 * words]!,
      gathered,
      0,
      1,
    );
    const high = row + 4 * words;
    transposeBytes(
      rows[high]!,
      rows[high + words]!,
      rows[high + 2 * words]!,
      rows[high + 3 * words]!,
      gathered,
      4,
      1,
    );
    planes[at] = transposed(gathered[0]!, gathered[4]!);
    planes[at + 1] = transposedHigh;
    planes[at + 2] = transposed(gathered[1]!, gathered[5]!);
    planes[at + 3] = transposedHigh;
    planes[at + 4] = transposed(gathered[2]!, gathered[6]!);
    planes[at + 5] = transposedHigh;
    planes[at + 6] = transposed(gathered[3]!, gathered[7]!);
    planes[at + 7] = transposedHigh;
  }
}

/** Transposes 4 x 4 bytes: byte i of the four words becomes the word at `to + i * step`. */
function transposeBytes(
  a: number,
  b: number,
  c: number,
  d: number,
  into: Uint32Array,
  to: number,
  step: number,
): void {
  const evenLow = (a & 0x00ff00ff) | ((b & 0x00ff00ff) << 8);
  const oddLow = ((a >>> 8) & 0x00ff00ff) | (b & 0xff00ff00);
  const evenHigh = (c & 0x00ff00ff) | ((d & 0x00ff00ff) << 8);
  const oddHigh = ((c >>> 8) & 0x00ff00ff) | (d & 0xff00ff00);
  into[to] = (evenLow & 0xffff) | (evenHigh << 16);
  into[to + step] = (oddLow & 0xffff) | (oddHigh << 16);
  into[to + 2 * step] = (evenLow >>> 16) | (evenHigh & 0xffff0000);
  into[to + 3 * step] = (oddLow >>> 16) | (oddHigh & 0xffff0000);
}

/** Byte planes of a block. The kernels do words; complex128 is wider than those. */
function splitBytes(from: Uint8Array, elementBytes: ElementBytes, planes: Uint8Array): void {
  if (elementBytes === 1) planes.set(from);
  else if (elementBytes !== 16) splitPlanes(from, elementBytes, false, planes);
  else {
    const count = from.length / 16;
    for (let at = 0; at < from.length; at++) planes[(at & 15) * count + (at >> 4)] = from[at]!;
  }
}

function joinBytes(planes: Uint8Array, elementBytes: ElementBytes, into: Uint8Array): void {
  if (elementBytes === 1) into.set(planes.subarray(0, into.length));
  else if (elementBytes !== 16) joinPlanes(planes.subarray(0, into.length), elementBytes, false, into);
  else {
    const count = into.length / 16;
    for (let at = 0; at < into.length; at++) into[at] = planes[(at & 15) * count + (at >> 4)]!;
  }
}
