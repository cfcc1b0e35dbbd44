/** Section 10 of docs/format.md: frames. */
import { ascii, Cursor, must, sha256, xxHash64 } from "./bytes.ts";
import { decodeStep } from "./codecs.ts";

/** 10: the header of a frame. */
export interface Frame {
  readonly bytes: Buffer;
  readonly frameBytes: number;
  readonly rawBytes: number;
  readonly hash: Buffer;
  readonly steps: readonly { readonly code: number; readonly inputBytes: number }[];
  readonly payload: Buffer;
  /** First 16 bytes of the SHA-256 of the sibling, if there is one. */
  readonly sibling?: Buffer;
}

/** 10: the frame at the start of `bytes`, its checksum verified. */
export function readFrame(bytes: Buffer): Frame {
  must(bytes.length >= 56 && ascii(bytes, 0, 2) === "TF", "no frame");
  must(bytes[2] === 0 && bytes[3]! < 2, "unknown frame version or flags");
  const payloadBytes = bytes.readUInt32LE(4);
  const rawBytes = bytes.readUInt32LE(8);
  const extension = bytes.readUInt16LE(14);
  const frameBytes = 56 + extension + payloadBytes;
  must(frameBytes <= bytes.length, "a frame is cut short");
  const covered = Buffer.concat([bytes.subarray(0, 48), bytes.subarray(56, frameBytes)]);
  must(xxHash64(covered) === bytes.readBigUInt64LE(48), "a frame's checksum is wrong");
  const cursor = new Cursor(bytes.subarray(56, 56 + extension));
  const steps = Array.from({ length: bytes[13]! }, () => ({
    code: cursor.u8(),
    inputBytes: cursor.varint(),
  }));
  const sibling = bytes[3] === 1 ? cursor.take(16) : undefined;
  must(cursor.left === 0 && steps.length <= 8, "a frame's extension is wrong");
  must((steps[0]?.inputBytes ?? payloadBytes) === rawBytes, "a frame's lengths disagree");
  const payload = bytes.subarray(56 + extension, frameBytes);
  return {
    bytes: bytes.subarray(0, frameBytes),
    frameBytes,
    rawBytes,
    hash: bytes.subarray(16, 48),
    steps,
    payload,
    ...(sibling !== undefined && { sibling }),
  };
}

/** 10: the chunk of a frame. `frameOf` finds the frame of a sibling. */
export function decodeFrame(frame: Frame, frameOf: (hash: Buffer) => Frame): Buffer {
  let sibling: Buffer | undefined;
  if (frame.sibling !== undefined) {
    const found = frameOf(frame.sibling);
    must(found.sibling === undefined, "a sibling has a sibling");
    sibling = decodeFrame(found, frameOf);
  }
  let bytes = frame.payload;
  for (const [index, { code, inputBytes }] of [...frame.steps.entries()].toReversed()) {
    bytes = decodeStep(code, bytes, inputBytes, index === 0 ? sibling : undefined);
    must(bytes.length === inputBytes, `codec ${code} gave ${bytes.length} bytes, not ${inputBytes}`);
  }
  must(frame.sibling === undefined || frame.steps.length > 0, "a frame of no steps names a sibling");
  must(sha256(bytes).equals(frame.hash), "a chunk's SHA-256 is wrong");
  return bytes;
}
