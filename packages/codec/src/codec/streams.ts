/**
 * Streams inside a payload (places, indices, residuals), each coded the way that plane-coding.ts finds best,
 * so that whatever coder is added there serves them too.
 *
 *     coder u8 | payload length varint | payload
 */
import type { ByteReader } from "../bytes/reader.ts";
import type { ByteWriter } from "../bytes/writer.ts";
import { type CodedPlane, decodePlane, encodePlane } from "./plane-coding.ts";

/** Appends a stream that `encodePlane` has coded. */
export function writeStream(writer: ByteWriter, { coder, payload }: CodedPlane): void {
  writer.u8(coder).varint(payload.length).bytes(payload);
}

/** The one of two coded streams that takes fewer bytes. */
export function smallerStream(one: CodedPlane, other: CodedPlane): CodedPlane {
  return other.payload.length < one.payload.length ? other : one;
}

/** Reads a stream of `bytes` bytes. Throws `DamageError` when that is not what it holds. */
export function readStream(reader: ByteReader, bytes: number): Uint8Array {
  const coder = reader.u8();
  const stream = new Uint8Array(bytes);
  decodePlane(coder, reader.bytes(reader.varint()), stream);
  return stream;
}

export { encodePlane as encodeStream };
