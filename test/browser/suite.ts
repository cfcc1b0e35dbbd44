/**
 * What is run on both sides: by the tests under Node, by the page in the browser. It knows the packages by their public names only.
 * Arguments and results are plain JSON, bytes among them in hex, because they travel between the two.
 */
import {
  type Codec,
  codecOf,
  type DType,
  decodeFrame,
  dtypeOf,
  encodeFrame,
  FRAME_FIXED_BYTES,
  frameOf,
  fromHex,
  type Json,
  parsePolicy,
  readFrameHeader,
  ready,
  type Step,
  sha256,
  TensorcaskError,
  toHex,
} from "@tensorcask/codec";

export { identities } from "./identities.ts";
export { kernels, referenceNames } from "./kernels.ts";
export { quantize } from "./quantize.ts";

/** Bytes to be coded as elements of a dtype. */
export interface Sample {
  readonly name: string;
  readonly dtype: string;
  readonly hex: string;
}

/** A sample, by its place in the list, and how it is coded: by these codecs whether or not that pays, or by a policy. */
export interface Job {
  readonly sample: number;
  readonly coding: { readonly codecs: readonly string[] } | { readonly policy: Json };
}

/** An error: the tag of one of ours, or `unexpected`. */
export interface Failure {
  readonly tag: string;
  readonly message: string;
}

/** A frame that was written. */
export interface Written {
  readonly frame: string;
}

/** The SHA-256 of a chunk that was read, taken by the host's WebCrypto. */
export interface Read {
  readonly sha256: string;
}

/** What became of a frame after something had happened to its bytes: `intact` is the chunk, whatever else came out a failure. */
export interface Damage {
  readonly what: string;
  readonly outcome: Failure | "intact";
}

/** Loads what the packages load. */
export function load(): Promise<void> {
  return ready();
}

/** Codes each job to a frame. */
export function encode(samples: readonly Sample[], jobs: readonly Job[]): (Written | Failure)[] {
  const chunks = samples.map(({ dtype, hex }) => ({ dtype: dtypeOf(dtype), bytes: fromHex(hex) }));
  return jobs.map(({ sample, coding }) => {
    const { dtype, bytes } = chunks[sample]!;
    const frame = attempted(() =>
      "codecs" in coding
        ? chained(bytes, dtype, coding.codecs)
        : encodeFrame({ hash: sha256(bytes), dtype, bytes, policy: parsePolicy(coding.policy) }),
    );
    return frame instanceof Uint8Array ? { frame: toHex(frame) } : frame;
  });
}

/** Reads frames, each from memory of its own or, `shared`, at an odd offset of shared memory. */
export function decode(frames: readonly string[], shared = false): Promise<(Read | Failure)[]> {
  return Promise.all(
    frames.map(async (hex, index) => {
      const frame = shared ? sharedView(fromHex(hex)) : fromHex(hex);
      const chunk = attempted(() => decodeFrame(frame, `frame ${index}`, undefined, { verifyHash: true }));
      if (!(chunk instanceof Uint8Array)) return chunk;
      return { sha256: toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", chunk.slice()))) };
    }),
  );
}

/** Decodes bytes that are no frame: a codec's own. */
export function decodePayload(codec: string, hex: string, bytes: number): string | Failure {
  const decoded = attempted(() => codecOf(codec).decode(fromHex(hex), { dtype: dtypeOf("uint8"), bytes }));
  return decoded instanceof Uint8Array ? toHex(decoded) : decoded;
}

/** Flips a bit, then all bits, of a byte in every region of a frame, cuts it short and makes it longer. */
export function damage(hex: string): Damage[] {
  const frame = fromHex(hex);
  const changed: [string, Uint8Array][] = [
    ["cut short", frame.subarray(0, frame.length - 1)],
    ["one byte more", joined(frame, Uint8Array.of(0))],
  ];
  for (const [region, at] of regionsOf(frame)) {
    for (const mask of [0x01, 0xff]) {
      changed.push([`${region}, byte ${at} ^ ${mask}`, flipped(frame, at, mask)]);
    }
  }
  return changed.map(([what, bytes]) => ({ what, outcome: readDamaged(bytes) }));
}

/** The same to the payload, under a checksum that is right again: what the codecs must find out themselves. */
export function damagePayload(hex: string): Damage[] {
  const frame = fromHex(hex);
  const { hash, dtype, rawBytes, steps, headerBytes } = readFrameHeader(frame, "frame");
  const payload = frame.subarray(headerBytes);
  const changed: [string, Uint8Array][] = [
    ["no payload", new Uint8Array(0)],
    ["payload cut short", payload.subarray(0, payload.length - 1)],
    ["half a payload", payload.subarray(0, payload.length >> 1)],
    ["one byte more", joined(payload, Uint8Array.of(0))],
  ];
  const places = new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24]);
  for (let part = 1; part <= 16; part++) places.add(Math.floor((part * (payload.length - 1)) / 16));
  for (const at of places) {
    if (at >= payload.length) continue;
    for (const mask of [0x01, 0xff])
      changed.push([`payload byte ${at} ^ ${mask}`, flipped(payload, at, mask)]);
  }
  return changed.map(([what, bytes]) => ({
    what,
    outcome: readDamaged(frameOf(hash, dtype, rawBytes, steps, bytes)),
  }));
}

/** One byte or more of each field of a frame; `header.ts` of the codec package draws the layout. */
function regionsOf(frame: Uint8Array): [string, number][] {
  const { headerBytes } = readFrameHeader(frame, "frame");
  return [
    ["magic", 0],
    ["version", 2],
    ["flags", 3],
    ["payload bytes", 4],
    ["raw bytes", 8],
    ["dtype", 12],
    ["steps", 13],
    ["extension bytes", 14],
    ["hash", 16],
    ["hash", 47],
    ["checksum", 48],
    ["checksum", 55],
    ["first step's codec", FRAME_FIXED_BYTES],
    ["first step's length", FRAME_FIXED_BYTES + 1],
    ["payload", headerBytes],
    ["payload", (headerBytes + frame.length) >> 1],
    ["payload", frame.length - 1],
  ];
}

function readDamaged(frame: Uint8Array): Failure | "intact" {
  const chunk = attempted(() => decodeFrame(frame, "frame", undefined, { verifyHash: true }));
  // The hash was verified: what comes out is the chunk.
  return chunk instanceof Uint8Array ? "intact" : chunk;
}

/** The frame of a chunk that went through all of these codecs. */
function chained(bytes: Uint8Array, dtype: DType, ids: readonly string[]): Uint8Array {
  const steps: Step[] = [];
  let payload = bytes;
  let elementType = dtype;
  for (const id of ids) {
    const codec: Codec = codecOf(id);
    steps.push({ code: codec.code, inputBytes: payload.length });
    payload = codec.encode(payload, { dtype: elementType }, codec.parse({}));
    if (codec.kind !== "array-to-array") elementType = dtypeOf("uint8");
  }
  return frameOf(sha256(bytes), dtype, bytes.length, steps, payload);
}

function attempted<Result>(run: () => Result): Result | Failure {
  try {
    return run();
  } catch (error) {
    if (error instanceof TensorcaskError) return { tag: error.tag, message: error.message };
    return {
      tag: "unexpected",
      message: error instanceof Error ? (error.stack ?? error.message) : `${error}`,
    };
  }
}

function flipped(bytes: Uint8Array, at: number, mask: number): Uint8Array {
  const copy = bytes.slice();
  copy[at]! ^= mask;
  return copy;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function sharedView(bytes: Uint8Array): Uint8Array {
  const view = new Uint8Array(new SharedArrayBuffer(bytes.length + 3), 3);
  view.set(bytes);
  return view;
}
