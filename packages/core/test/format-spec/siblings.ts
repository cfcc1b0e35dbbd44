/** Section 11 of docs/format.md: xor, sibling and patch, what is coded against another chunk. */
import { Cursor, must } from "./bytes.ts";
import { decodeDifferences } from "./differences.ts";
import { decodeStream } from "./streams.ts";
import { decodeBlock } from "./words.ts";

const BLOCK_WORDS = 131_072;

/** 11, Xor. */
export function decodeXor(payload: Buffer, length: number, sibling: Buffer): Buffer {
  must(payload.length === length, "xor has another length");
  return Buffer.from(payload.map((byte, index) => byte ^ (sibling[index] ?? 0)));
}

/** 11, Patch. */
export function decodePatch(payload: Buffer, length: number, sibling: Buffer): Buffer {
  const cursor = new Cursor(payload);
  const kind = cursor.u8();
  must(kind < 2, "literals of another kind");
  const count = cursor.varint();
  must(4 * count <= length, "more copies than bytes");
  const numbers = (): number[] => {
    const bytes = cursor.varint();
    must(bytes <= 4 * count, "numbers take more than 4 bytes");
    const stream = new Cursor(decodeStream(cursor, bytes));
    const read = Array.from({ length: count }, () => stream.varint());
    must(stream.left === 0, "more numbers than copies");
    return read;
  };
  const [before, lengths, moves] = [numbers(), numbers().map((number) => number + 4), numbers()];
  const copied = lengths.reduce((sum, bytes) => sum + bytes, 0);
  must(copied <= length, "copies are too long");
  const literals = new Cursor(decodeStream(cursor, length - copied));
  must(cursor.left === 0, "bytes follow the literals");
  const out: number[] = [];
  let recent = [0, 0, 0, 0];
  const literal = (bytes: number): void => {
    for (const byte of literals.take(bytes)) {
      const from = out.length + recent[0]!;
      out.push((byte + (kind === 1 ? (sibling[from] ?? 0) : 0)) % 256);
    }
  };
  for (let index = 0; index < count; index++) {
    literal(before[index]!);
    const move = moves[index]!;
    const step = move % 2 === 0 ? (move - 4) / 2 : -(move - 3) / 2;
    const shift = move < 4 ? recent[move]! : recent[0]! + step;
    const place = recent.indexOf(shift);
    recent = [shift, ...recent.toSpliced(place < 0 ? 3 : place, 1)];
    const from = out.length + shift;
    must(from >= 0 && from + lengths[index]! <= sibling.length, "a copy lies outside the sibling");
    for (const byte of sibling.subarray(from, from + lengths[index]!)) out.push(byte);
  }
  literal(literals.left);
  return Buffer.from(out);
}

/** Bits of exponent and mantissa by type. */
const floats: Readonly<Record<number, readonly [number, number]>> = { 20: [5, 10], 21: [8, 7], 22: [8, 23] };

/** 11, Sibling. */
export function decodeSibling(payload: Buffer, length: number, sibling: Buffer): Buffer {
  const cursor = new Cursor(payload);
  const [type, from] = [cursor.u8(), cursor.u8()];
  must(type in floats && from in floats, "words of another type");
  const other = type === from ? sibling : converted(sibling, from, type);
  const mantissaBits = floats[type]![1];
  const width = type === 22 ? 4 : 2;
  const words = Math.floor(length / width);
  const shared = Math.min(words, Math.floor(other.length / width));
  const parts: Buffer[] = [];
  const readBlocks = (start: number, end: number): void => {
    for (let first = start; first < end; first += BLOCK_WORDS) {
      const count = Math.min(BLOCK_WORDS, end - first);
      const head = cursor.uint(4);
      const block = new Cursor(cursor.take(head % 2 ** 31));
      must(head >= 2 ** 31 || first < shared, "a block has no words to be coded against");
      const against = other.subarray(width * first, width * (first + count));
      parts.push(
        head >= 2 ** 31
          ? decodeBlock(block, width, count)
          : decodeDifferences(block, against, width, mantissaBits),
      );
      must(block.left === 0, "bytes follow a block");
    }
  };
  readBlocks(0, shared);
  readBlocks(shared, words);
  parts.push(cursor.take(length % width));
  must(cursor.left === 0, "bytes follow the blocks");
  return Buffer.concat(parts);
}

/** Words of one type of floats as those of another. */
function converted(bytes: Buffer, from: number, to: number): Buffer {
  const [fromWidth, toWidth] = [from === 22 ? 4 : 2, to === 22 ? 4 : 2];
  const count = Math.floor(bytes.length / fromWidth);
  const out = Buffer.alloc(count * toWidth);
  for (let index = 0; index < count; index++) {
    const word = bytes.readUIntLE(index * fromWidth, fromWidth);
    out.writeUIntLE(narrowed(from === 22 ? word : widened(word, from), to), index * toWidth, toWidth);
  }
  return out;
}

/** The float32 of a 16-bit float, as bits. */
function widened(word: number, from: number): number {
  const [exponentBits, mantissaBits] = floats[from]!;
  const sign = word >= 2 ** 15 ? 2 ** 31 : 0;
  const exponent = Math.floor(word / 2 ** mantissaBits) % 2 ** exponentBits;
  const mantissa = word % 2 ** mantissaBits;
  if (exponent === 2 ** exponentBits - 1) return sign + 0x7f800000 + mantissa * 2 ** (23 - mantissaBits);
  const scale = 2 ** (Math.max(1, exponent) - (2 ** (exponentBits - 1) - 1) - mantissaBits);
  return sign + bitsOf((mantissa + (exponent === 0 ? 0 : 2 ** mantissaBits)) * scale);
}

/** The float of a type that is nearest to a float32, of two the one with an even last bit, all as bits. */
function narrowed(word: number, to: number): number {
  if (to === 22) return word;
  const [exponentBits, mantissaBits] = floats[to]!;
  const sign = word >= 2 ** 31 ? 2 ** 15 : 0;
  const infinity = (2 ** exponentBits - 1) * 2 ** mantissaBits;
  const magnitude = word % 2 ** 31;
  if (magnitude > 0x7f800000) {
    const kept = Math.floor((magnitude % 2 ** 23) / 2 ** (23 - mantissaBits));
    return sign + infinity + Math.max(1, kept);
  }
  const value = new Float32Array(Uint32Array.of(magnitude).buffer)[0]!;
  // Of the type's numbers, those of the value's octave lie so far apart; below the smallest exponent all do.
  const bias = 2 ** (exponentBits - 1) - 1;
  const exponent = Math.max(1 - bias, Math.floor(magnitude / 2 ** 23) - 127);
  const steps = value / 2 ** (exponent - mantissaBits);
  const below = Math.floor(steps);
  const isUp = steps - below > 0.5 || (steps - below === 0.5 && below % 2 === 1);
  const bits = below + (isUp ? 1 : 0) + (exponent + bias - 1) * 2 ** mantissaBits;
  return sign + Math.min(infinity, bits);
}

function bitsOf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}
