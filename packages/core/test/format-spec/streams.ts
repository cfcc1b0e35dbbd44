/** Section 11 of docs/format.md: streams, which the other codecs are made of. */
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { type Cursor, must, SpecError } from "./bytes.ts";
import { decodeWords } from "./words.ts";

/** 11, Streams. */
export function decodeStream(cursor: Cursor, length: number): Buffer {
  const coder = cursor.u8();
  const stream = decodeCoder(coder, cursor.take(cursor.varint()), length);
  must(stream.length === length, "a stream has a wrong length");
  return stream;
}

function decodeCoder(coder: number, coded: Buffer, length: number): Buffer {
  switch (coder) {
    case 0:
      return coded;
    case 1:
      return gunzipSync(coded);
    case 3:
      return zstdDecompressSync(coded);
    case 6:
      return decodeWords(coded, length);
    case 255:
      must(coded.length === 1, "a constant stream is one byte");
      return Buffer.alloc(length, coded[0]!);
    default:
      throw new SpecError(`stream coder ${coder} is unknown`);
  }
}
