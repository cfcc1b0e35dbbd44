/** Section 11 of docs/format.md: pattern251 and hierarchical. */
import { zstdDecompressSync } from "node:zlib";
import { ascii, Cursor, must, SpecError, sha256, xxHash64 } from "./bytes.ts";
import { decodeLz4Block } from "./lz4.ts";
import { decodeStream } from "./streams.ts";

/** 11, Pattern251. */
export function decodePattern251(payload: Buffer, length: number): Buffer {
  const cursor = new Cursor(payload);
  const first = cursor.u8();
  if (first === 0) return cursor.take(cursor.left);
  if (first === 0xaa) {
    const count = cursor.uint(4);
    const pattern = cursor.take(251);
    must(cursor.left === 0, "bytes follow the pattern");
    return Buffer.concat(new Array<Buffer>(count).fill(pattern));
  }
  if (first !== 0xab) return decodePublished(payload, length);
  const checked = payload.length - 8;
  must(xxHash64(payload.subarray(0, checked)) === payload.readBigUInt64LE(checked), "a wrong checksum");
  const period = cursor.uint(2);
  must(period >= 1 && period <= 4096, "a period out of range");
  const repeated = cursor.uint(4);
  const pattern = cursor.take(period);
  // Buffer.alloc repeats what it fills with, and cuts it at the end.
  return Buffer.concat([Buffer.alloc(repeated, pattern), cursor.take(cursor.left - 8)]);
}

function decodePublished(payload: Buffer, length: number): Buffer {
  must(payload.length >= 8 && payload.readUInt32LE(4) === length, "no known frame of this length");
  const content = payload.subarray(8);
  switch (ascii(payload, 0, 4)) {
    case "ZSTD":
      return zstdDecompressSync(content);
    case "LZ4 ": {
      const out: number[] = [];
      decodeLz4Block(content, out);
      return Buffer.from(out);
    }
    case "NONE":
      return content;
    default:
      throw new SpecError("no known frame of pattern251");
  }
}

/** 11, Hierarchical. */
export function decodeHierarchical(payload: Buffer, length: number): Buffer {
  const cursor = new Cursor(payload);
  must(ascii(cursor.take(4), 0, 4) === "HPC2" && cursor.u8() === 0, "unknown hierarchical payload");
  const flags = cursor.u8();
  must(flags < 4, "unknown flags");
  must(cursor.uint(8) === length, "a payload for another length");
  const codebookBytes = cursor.uint(4);
  const codebook = new Cursor(cursor.take(codebookBytes));
  const codes = new Cursor(cursor.take(cursor.left - 32));
  let out: Buffer;
  if ((flags & 2) !== 0) {
    must(codebookBytes === 0, "stored bytes have a codebook");
    out = codes.take(codes.left);
  } else {
    const patterns = readCodebook(codebook, length);
    out = readCodes(codes, patterns, 1);
  }
  must(codebook.left + codes.left === 0, "bytes follow the codebook or the codes");
  must(sha256(out).equals(cursor.take(32)), "a wrong SHA-256");
  return out;
}

function readCodebook(cursor: Cursor, length: number): Buffer[] {
  const count = cursor.varint();
  must(count <= 65_535, "too many patterns");
  const lengths = [...decodeStream(cursor, count)];
  must(
    lengths.every((bytes) => bytes >= 4 && bytes <= 251),
    "a pattern of unknown length",
  );
  const total = lengths.reduce((sum, bytes) => sum + bytes, 0);
  must(total <= length, "patterns are longer than what they make");
  const bytes = new Cursor(decodeStream(cursor, total));
  return lengths.map((own) => bytes.take(own));
}

function readCodes(cursor: Cursor, patterns: readonly Buffer[], level: number): Buffer {
  must(level <= 3, "more than three levels");
  const symbols = readSymbols(cursor, cursor.varint(), patterns.length > 255, level);
  const varints = new Cursor(decodeStream(cursor, cursor.varint()));
  const lengths: number[] = [];
  while (varints.left > 0) lengths.push(varints.varint() + 1);
  const runs = readRuns(cursor, lengths);
  const parts = symbols.map((symbol) => {
    const part = symbol === 0 ? runs.shift() : patterns[symbol - 1];
    must(part !== undefined, "a symbol stands for nothing");
    return part;
  });
  must(runs.length === 0, "runs of literals are left");
  return Buffer.concat(parts);
}

function readSymbols(cursor: Cursor, count: number, wide: boolean, level: number): number[] {
  const form = cursor.u8();
  if (form === 1) {
    must(wide, "two streams of single bytes");
    const lower = decodeStream(cursor, count);
    const upper = decodeStream(cursor, count);
    return [...lower].map((byte, index) => byte | (upper[index]! << 8));
  }
  must(form === 0 || form === 2, "unknown form of symbols");
  const length = wide ? 2 * count : count;
  const bytes =
    form === 0 ? decodeStream(cursor, length) : readCodes(cursor, readCodebook(cursor, length), level + 1);
  must(bytes.length === length, "a level has another length");
  return Array.from({ length: count }, (_, index) => (wide ? bytes.readUInt16LE(2 * index) : bytes[index]!));
}

/** The runs of literals, of these lengths. */
function readRuns(cursor: Cursor, lengths: readonly number[]): Buffer[] {
  const form = cursor.u8();
  must(form < 2, "unknown form of literals");
  const runs = lengths.map((length) => Buffer.alloc(length));
  let others = runs;
  for (let length = 1; length <= 16 && form === 1; length++) {
    const rows = runs.filter((run) => run.length === length);
    if (rows.length < 64) continue;
    others = others.filter((run) => run.length !== length);
    for (let column = 0; column < length; column++) {
      const bytes = decodeStream(cursor, rows.length);
      rows.forEach((row, index) => {
        row[column] = bytes[index]!;
      });
    }
  }
  const rest = new Cursor(
    decodeStream(
      cursor,
      others.reduce((sum, run) => sum + run.length, 0),
    ),
  );
  for (const run of others) rest.take(run.length).copy(run);
  return runs;
}
