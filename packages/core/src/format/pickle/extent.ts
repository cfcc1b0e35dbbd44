/**
 * Where a run of bytes lies: in the file as it is, packed in a member of an archive, or written as text inside a
 * pickle. Plans hold extents, so that nothing of a tensor is read before its elements are asked for.
 */
import { InvalidFileError } from "@tensorcask/codec";
import type { Source } from "../../model/plan.ts";

/** A run of bytes that can be streamed from its file, as often as wanted. */
export interface Extent {
  readonly bytes: number;
  /** Where it begins in the file; undefined when the file does not hold these bytes as they are. */
  readonly offset: number | undefined;
  /**
   * The bytes from `from` to `to` (exclusive), in pieces of any length; a piece is valid until the next one is asked
   * for. Throws `InvalidFileError` where the file does not hold them.
   */
  stream(source: Source, from: number, to: number): AsyncIterable<Uint8Array>;
}

/** Bytes read from a file at a time. A multiple of every element's size, so that no element is cut. */
const PIECE_BYTES = 256 * 1024;

/** Bytes that the file holds as they are. */
export function fileExtent(offset: number, bytes: number): Extent {
  return {
    offset,
    bytes,
    async *stream(source, from, to) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, to - from));
      for (let at = from; at < to; at += piece.length) {
        const part = piece.subarray(0, Math.min(piece.length, to - at));
        await source.read(part, offset + at);
        yield part;
      }
    },
  };
}

/** Bytes that were small enough to be decoded while planning. */
export function memoryExtent(data: Uint8Array): Extent {
  return {
    offset: undefined,
    bytes: data.length,
    async *stream(_source, from, to) {
      yield data.subarray(from, to);
    },
  };
}

/** Bytes that can only be had from the first on, such as those of a compressed member. */
export function sequentialExtent(bytes: number, open: (source: Source) => AsyncIterable<Uint8Array>): Extent {
  return {
    offset: undefined,
    bytes,
    async *stream(source, from, to) {
      let at = 0;
      for await (const piece of open(source)) {
        const taken = piece.subarray(Math.max(0, from - at), Math.max(0, to - at));
        at += piece.length;
        if (taken.length > 0) yield taken;
        // The last piece brings the check of the whole with it.
        if (at >= to && to < bytes) return;
      }
      if (at < to) {
        throw new InvalidFileError(
          source.name,
          "truncated",
          `${bytes} bytes were to be unpacked, ${at} came`,
        );
      }
    },
  };
}

/** A part of an extent. */
export function sliceExtent(whole: Extent, offset: number, bytes: number): Extent {
  return {
    offset: whole.offset === undefined ? undefined : whole.offset + offset,
    bytes,
    stream: (source, from, to) => whole.stream(source, offset + from, offset + to),
  };
}

/**
 * Bytes that a pickle holds as text: each is the character of its number (latin-1), in UTF-8. Python 3 writes byte
 * strings so below protocol 3. `bytes` is what they are expected to be.
 */
export function latin1Extent(text: Extent, bytes: number): Extent {
  return sequentialExtent(bytes, async function* (source) {
    let lead = 0;
    let total = 0;
    for await (const piece of text.stream(source, 0, text.bytes)) {
      const out = new Uint8Array(piece.length);
      let length = 0;
      for (const byte of piece) {
        if (lead !== 0) {
          if ((byte & 0xc0) !== 0x80) throw notLatin1(source.name);
          out[length++] = ((lead & 0x03) << 6) | (byte & 0x3f);
          lead = 0;
        } else if (byte < 0x80) {
          out[length++] = byte;
        } else {
          if (byte !== 0xc2 && byte !== 0xc3) throw notLatin1(source.name);
          lead = byte;
        }
      }
      total += length;
      if (total > bytes) break;
      yield out.subarray(0, length);
    }
    if (total !== bytes || lead !== 0) {
      throw new InvalidFileError(
        source.name,
        "size-mismatch",
        `a text of ${text.bytes} bytes does not stand for the ${bytes} bytes of its array`,
      );
    }
  });
}

function notLatin1(file: string): InvalidFileError {
  return new InvalidFileError(file, "pickle-text", "bytes written as text hold a character over 255");
}
