/**
 * Section 11 of docs/format.md: what codecs write. Word by word and bit by bit, with BigInts where words are wide.
 */
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { decodeBpe } from "./bpe.ts";
import { Cursor, must, SpecError } from "./bytes.ts";
import { decodeContext } from "./context.ts";
import { decodeLz4 } from "./lz4.ts";
import { decodeHierarchical, decodePattern251 } from "./patterns.ts";
import { decodePatch, decodeSibling, decodeXor } from "./siblings.ts";
import { decodeStream } from "./streams.ts";
import { decodeWords } from "./words.ts";

/** 11: undoes one step; the first one of a frame that names a sibling with that. */
export function decodeStep(code: number, bytes: Buffer, length: number, sibling?: Buffer): Buffer {
  must(
    [10, 18, 19].includes(code) === (sibling !== undefined),
    "a step has a sibling and needs none, or the reverse",
  );
  switch (code) {
    case 1:
      return gunzipSync(bytes);
    case 2:
      return decodeLz4(bytes);
    case 3:
      return zstdDecompressSync(bytes);
    case 4:
      return brotliDecompressSync(bytes);
    case 5:
      return decodePlanes(bytes, length);
    case 6:
    case 7:
      return decodeWords(bytes, length);
    case 8:
      return decodeBitshuffle(bytes);
    case 9:
      return decodeDelta(bytes);
    case 10:
      return decodeSibling(bytes, length, sibling!);
    case 11:
      return decodeRle(bytes, length);
    case 12:
      return decodeBpe(bytes, length);
    case 13:
      return decodeSparse(bytes, length);
    case 14:
      return decodeCluster(bytes, length);
    case 15:
      return decodePattern251(bytes, length);
    case 16:
      return decodeHierarchical(bytes, length);
    case 17:
      return decodeContext(bytes, length);
    case 18:
      return decodeXor(bytes, length, sibling!);
    case 19:
      return decodePatch(bytes, length, sibling!);
    default:
      throw new SpecError(`codec code ${code} is not in section 11 of docs/format.md`);
  }
}

/** 11, Planes. */
export function decodePlanes(payload: Uint8Array, length: number): Buffer {
  const cursor = new Cursor(payload);
  const layout = cursor.u8();
  const wordBytes = layout & 15;
  const rotated = (layout & 16) !== 0;
  const upperRotated = (layout & 32) !== 0;
  must([1, 2, 4, 8].includes(wordBytes) && layout < 64, "unknown planes layout");
  must(!upperRotated || (wordBytes === 4 && !rotated), "unknown planes layout");
  const count = Math.floor(length / wordBytes);
  // The table comes first, the payloads behind it: each is put behind its own head to be read as a stream.
  const heads = Array.from({ length: wordBytes }, () => {
    const start = cursor.at;
    cursor.u8();
    const bytes = cursor.varint();
    return { head: cursor.bytes.subarray(start, cursor.at), bytes };
  });
  const planes = heads.map(({ head, bytes }) =>
    decodeStream(new Cursor(Buffer.concat([head, cursor.take(bytes)])), count),
  );
  const out = Buffer.alloc(length);
  const bits = BigInt(8 * wordBytes);
  const right = (word: bigint, width: bigint): bigint => (word >> 1n) | ((word & 1n) << (width - 1n));
  for (let index = 0; index < count; index++) {
    let word = 0n;
    for (let plane = 0; plane < wordBytes; plane++)
      word |= BigInt(planes[plane]![index]!) << BigInt(8 * plane);
    if (rotated) word = right(word, bits);
    if (upperRotated) word = (word & 0xffffn) | (right(word >> 16n, 16n) << 16n);
    writeWord(out, index * wordBytes, wordBytes, word);
  }
  cursor.take(length - count * wordBytes).copy(out, count * wordBytes);
  must(cursor.left === 0, "bytes follow the planes");
  return out;
}

function readWord(bytes: Buffer, at: number, wordBytes: number): bigint {
  let word = 0n;
  for (let byte = wordBytes - 1; byte >= 0; byte--) word = (word << 8n) | BigInt(bytes[at + byte]!);
  return word;
}

function writeWord(bytes: Buffer, at: number, wordBytes: number, word: bigint): void {
  for (let byte = 0; byte < wordBytes; byte++) bytes[at + byte] = Number((word >> BigInt(8 * byte)) & 255n);
}

/** 11: sign-ordered words; its own inverse, for words of `bits` bits as unsigned numbers. */
function signOrder(word: bigint, bits: number): bigint {
  const sign = 1n << BigInt(bits - 1);
  return (word & sign) === 0n ? word : word ^ (sign - 1n);
}

/** 1: the number that a zigzag code stands for. */
function unzigzag(code: bigint): bigint {
  return (code & 1n) === 0n ? code >> 1n : -((code + 1n) >> 1n);
}

/** 11, Bitshuffle. */
function decodeBitshuffle(payload: Buffer): Buffer {
  const [elementBytes, blockLog] = [payload[0]!, payload[1]!];
  must(
    [1, 2, 4, 8, 16].includes(elementBytes) && blockLog >= 10 && blockLog <= 20,
    "unknown bitshuffle layout",
  );
  const input = payload.subarray(2);
  const out = Buffer.from(input);
  const end = input.length - (input.length % (8 * elementBytes));
  for (let start = 0; start < end; start += 2 ** blockLog) {
    const elements = (Math.min(start + 2 ** blockLog, end) - start) / elementBytes;
    out.fill(0, start, start + elements * elementBytes);
    for (let byte = 0; byte < elementBytes; byte++) {
      for (let bit = 0; bit < 8; bit++) {
        const row = start + ((byte * 8 + bit) * elements) / 8;
        for (let element = 0; element < elements; element++) {
          const set = (input[row + (element >> 3)]! >> (element & 7)) & 1;
          out[start + element * elementBytes + byte]! |= set << bit;
        }
      }
    }
  }
  return out;
}

/** 11, Delta. */
function decodeDelta(payload: Buffer): Buffer {
  const out = Buffer.from(payload.subarray(0, payload.length - 5));
  const stride = payload.readUInt32LE(out.length);
  const layout = payload[out.length + 4]!;
  const wordBytes = layout & 15;
  must([1, 2, 4, 8].includes(wordBytes) && layout < 32 && stride > 0, "unknown delta layout");
  const bits = 8 * wordBytes;
  const wrap = (word: bigint): bigint => BigInt.asUintN(bits, word);
  for (let index = 0; index < Math.floor(out.length / wordBytes); index++) {
    const coded = readWord(out, index * wordBytes, wordBytes);
    const before = index < stride ? 0n : readWord(out, (index - stride) * wordBytes, wordBytes);
    const word =
      layout < 16
        ? wrap(unzigzag(coded) + before)
        : signOrder(wrap(signOrder(coded, bits) + signOrder(before, bits)), bits);
    writeWord(out, index * wordBytes, wordBytes, word);
  }
  return out;
}

/** 11, Rle. */
function decodeRle(payload: Buffer, length: number): Buffer {
  const cursor = new Cursor(payload);
  const elementBytes = cursor.u8();
  must(elementBytes >= 1 && elementBytes <= 16, "unknown rle layout");
  const controls = new Cursor(cursor.take(cursor.varint()));
  const parts: Buffer[] = [];
  while (controls.left > 0) {
    const control = controls.varint();
    const count = Math.floor(control / 2);
    if (control % 2 === 0) parts.push(cursor.take(count * elementBytes));
    else parts.push(Buffer.alloc(count * elementBytes, cursor.take(elementBytes)));
  }
  parts.push(cursor.take(length % elementBytes));
  must(cursor.left === 0, "bytes follow the runs");
  return Buffer.concat(parts);
}

/** 11, Sparse. */
function decodeSparse(payload: Buffer, length: number): Buffer {
  const cursor = new Cursor(payload);
  const flags = cursor.u8();
  const elementBytes = 2 ** (flags & 7);
  const form = (flags >> 3) & 3;
  const before = flags >> 6;
  must((flags & 7) <= 4 && before <= length, "unknown sparse layout");
  const elements = Math.floor((length - before) / elementBytes);
  const count = form === 0 ? 0 : form === 3 ? elements : cursor.varint();
  const places: number[] = [];
  if (form === 1) {
    const bitmap = decodeStream(cursor, Math.ceil(elements / 8));
    for (let index = 0; index < elements; index++)
      if (((bitmap[index >> 3]! >> (index & 7)) & 1) === 1) places.push(index);
  } else if (form === 2) {
    const gaps = new Cursor(decodeStream(cursor, cursor.varint()));
    for (let next = 0; gaps.left > 0; next++) {
      next += gaps.varint();
      places.push(next);
    }
  } else for (let index = 0; index < count; index++) places.push(index);
  must(places.length === count, "places and values disagree");
  const head = cursor.take(before);
  const tail = cursor.take((length - before) % elementBytes);
  const rest = cursor.take(cursor.left);
  const values = (flags & 32) === 0 ? rest : decodePlanes(rest, count * elementBytes);
  must(values.length === count * elementBytes, "sparse values have a wrong length");
  const out = Buffer.alloc(elements * elementBytes);
  places.forEach((place, index) => {
    values.copy(out, place * elementBytes, index * elementBytes, (index + 1) * elementBytes);
  });
  return Buffer.concat([head, out, tail]);
}

/** 11, Cluster. */
function decodeCluster(payload: Buffer, length: number): Buffer {
  const cursor = new Cursor(payload);
  const flags = cursor.u8();
  const wordBytes = 2 ** (flags & 3);
  const form = (flags >> 2) & 3;
  if (form === 0) return cursor.take(length);
  const before = flags >> 6;
  must(before <= length && (form !== 2 || wordBytes > 1), "unknown cluster layout");
  const words = Math.floor((length - before) / wordBytes);
  const packed = (flags & 16) !== 0;
  const decoded =
    form === 1
      ? readPalette(cursor, words, wordBytes, packed)
      : form === 2
        ? readCentres(cursor, words, wordBytes, { packed, floats: (flags & 32) !== 0 })
        : readPalettes(cursor, words, wordBytes);
  const out = Buffer.alloc(length);
  decoded.forEach((word, index) => {
    writeWord(out, before + index * wordBytes, wordBytes, word);
  });
  cursor.take(before).copy(out);
  const end = before + words * wordBytes;
  cursor.take(length - end).copy(out, end);
  must(cursor.left === 0, "bytes follow the words");
  return out;
}

function readTable(cursor: Cursor, count: number, wordBytes: number): bigint[] {
  return Array.from({ length: count }, () => readWord(cursor.take(wordBytes), 0, wordBytes));
}

/** Form 1. */
function readPalette(cursor: Cursor, words: number, wordBytes: number, packed: boolean): bigint[] {
  const count = cursor.u8() + 1;
  const table = readTable(cursor, count, wordBytes);
  return clusterIndices(cursor, count, words, packed).map((index) => table[index]!);
}

/** Form 2. */
function readCentres(
  cursor: Cursor,
  words: number,
  wordBytes: number,
  { packed, floats }: { packed: boolean; floats: boolean },
): bigint[] {
  const count = cursor.u8() + 1;
  const topBytes = Math.min(wordBytes, 4);
  const table = readTable(cursor, count, topBytes);
  const indices = clusterIndices(cursor, count, words, packed);
  const planes = Array.from({ length: wordBytes }, () => decodeStream(cursor, words));
  const bits = 8 * topBytes;
  return indices.map((place, index) => {
    const byteAt = (plane: number): bigint =>
      BigInt(planes[plane]![index]!) << BigInt(8 * (plane % topBytes));
    let coded = 0n;
    for (let byte = 0; byte < topBytes; byte++) coded |= byteAt(byte);
    const ordered = BigInt.asUintN(bits, unzigzag(coded) + table[place]!);
    const top = floats ? signOrder(ordered, bits) : ordered;
    let lower = 0n;
    for (let byte = topBytes; byte < wordBytes; byte++) lower |= byteAt(byte);
    return wordBytes === 8 ? (top << 32n) | lower : top;
  });
}

/** Form 3. */
function readPalettes(cursor: Cursor, words: number, wordBytes: number): bigint[] {
  const palettes = Array.from({ length: cursor.varint() + 1 }, () => ({
    words: cursor.varint(),
    values: cursor.u8() + 1,
  }));
  const values = palettes.reduce((sum, palette) => sum + palette.values, 0);
  const coded = cursor.take(cursor.varint());
  const table = new Cursor(decodePlanes(coded, values * wordBytes));
  const indices = [...decodeStream(cursor, words)];
  const decoded = palettes.flatMap((palette) => {
    must(palette.values <= palette.words, "a palette is larger than its words");
    const own = readTable(table, palette.values, wordBytes);
    return indices.splice(0, palette.words).map((index) => own[index]!);
  });
  must(decoded.length === words && indices.length === 0, "palettes are for other words");
  return decoded;
}

function clusterIndices(cursor: Cursor, count: number, words: number, packed: boolean): number[] {
  if (count === 1) return new Array<number>(words).fill(0);
  let bits = 1;
  while (2 ** bits < count) bits++;
  if (!packed) return [...decodeStream(cursor, words)];
  const stream = decodeStream(cursor, Math.ceil((words * bits) / 8));
  return Array.from({ length: words }, (_, index) => {
    const at = index * bits;
    const pair = stream[at >> 3]! | ((stream[(at >> 3) + 1] ?? 0) << 8);
    return (pair >> (at & 7)) & (2 ** bits - 1);
  });
}
