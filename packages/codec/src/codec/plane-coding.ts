/**
 * How one byte plane is coded. Planes differ: mantissa bytes are noise (stored, without a trial), exponent
 * bytes are skewed but have no matches (an order-0 entropy coder), sparse or repetitive ones have
 * matches. The choice falls on the facts of a sample; only where several coders are plausible do they encode
 * a sample each.
 *
 * A plane's coder is written as one byte: 0 stored, 255 constant (the payload is that byte), else the code of
 * a codec.
 */
import { zstd as platformZstd } from "#platform";
import { DamageError } from "../errors/errors.ts";
import { dtypeOf } from "../tensor/dtype.ts";
import type { Codec } from "./codec.ts";
import { entropy } from "./entropy.ts";
import { gzip } from "./gzip.ts";
import { type ByteFacts, NOISE_BITS, sampleBytes, trialSample } from "./sampling.ts";
import { canEncodeZstd, zstd } from "./zstd.ts";

const STORED = 0;
const CONSTANT = 255;

/**
 * Codecs that a plane may be coded with; others are refused when decoding (a plane of planes would nest
 * without end).
 */
const planeCodecs = new Map<number, Codec>([gzip, zstd, entropy].map((codec) => [codec.code, codec]));

/** A plane as coded: `payload` is the plane itself when it is stored. */
export interface CodedPlane {
  readonly coder: number;
  readonly payload: Uint8Array;
}

interface PlaneFacts extends ByteFacts {
  readonly bytes: number;
  readonly repeats: boolean;
}

/**
 * A way to code a plane that is neither noise nor constant. To add a coder, add an entry (and its codec to
 * `planeCodecs`).
 */
interface PlaneCoder {
  readonly code: number;
  /** Whether it may be the best for such a plane. */
  suits(facts: PlaneFacts): boolean;
  encode(plane: Uint8Array): Uint8Array;
}

/** Planes with less than this a byte are so quickly coded that all of them is tried. */
const NEARLY_CONSTANT_BITS = 0.1;

/** Up to this length all plausible coders encode the whole plane; beyond, a sample decides. */
const TRIAL_BYTES = 16_384;

const context = { dtype: dtypeOf("uint8") };

const planeCoders: readonly PlaneCoder[] = [
  {
    code: entropy.code,
    suits: () => true,
    encode: (plane) => entropy.encode(plane, context, {}),
  },
  {
    code: zstd.code,
    suits: (facts) => canEncodeZstd() && mayHaveMatches(facts),
    encode: (plane) => platformZstd(plane, { level: 3 }),
  },
  {
    // Where zstd cannot encode, in browsers.
    code: gzip.code,
    suits: (facts) => !canEncodeZstd() && mayHaveMatches(facts),
    encode: (plane) => gzip.encode(plane, context, { level: 6 }),
  },
];

/**
 * Codes a plane the way that suits it. `repeats`: what `hasRepeats` says of the elements that the plane is
 * from.
 */
export function encodePlane(plane: Uint8Array, repeats: boolean): CodedPlane {
  const stored = { coder: STORED, payload: plane };
  if (plane.length === 0) return stored;
  const sampled = sampleBytes(plane);
  if (sampled.distinct === 1 && isConstant(plane)) return { coder: CONSTANT, payload: plane.slice(0, 1) };
  if (sampled.entropyBits >= NOISE_BITS && !repeats) return stored;
  const facts = { ...sampled, bytes: plane.length, repeats };
  const plausible = planeCoders.filter((coder) => coder.suits(facts));
  const coded =
    plausible.length === 1 ? encodeWith(plausible[0]!, plane) : encodeBest(plausible, plane, facts);
  return coded.payload.length < plane.length ? coded : stored;
}

/** Decodes a plane into `into`, filling it. Throws `DamageError` when that is not what comes out. */
export function decodePlane(coder: number, payload: Uint8Array, into: Uint8Array): void {
  if (coder === CONSTANT) {
    if (payload.length !== 1) throw new DamageError("planes", `a constant plane has ${payload.length} bytes`);
    into.fill(payload[0]!);
    return;
  }
  let plane = payload;
  if (coder !== STORED) {
    const codec = planeCodecs.get(coder);
    if (codec === undefined) throw new DamageError("planes", `a plane has the unknown coder ${coder}`);
    plane = codec.decode(payload, { ...context, bytes: into.length });
  }
  if (plane.length !== into.length) {
    throw new DamageError("planes", `a plane has ${plane.length} bytes, ${into.length} were declared`);
  }
  into.set(plane);
}

/**
 * Highly skewed planes go below what a literal costs at least (one bit), and neighbours alike or repeats are
 * matches.
 */
function mayHaveMatches(facts: PlaneFacts): boolean {
  return facts.repeats || facts.entropyBits < 1.5 || facts.repetition > 0.04 || facts.bytes <= 1024;
}

function encodeBest(coders: readonly PlaneCoder[], plane: Uint8Array, facts: PlaneFacts): CodedPlane {
  // Repeats may lie further apart than a sample reaches, and what little there is in a plane that is nearly
  // constant may lie outside it: there the whole plane is the trial.
  const isWhole = facts.repeats || facts.entropyBits < NEARLY_CONSTANT_BITS;
  const trial = isWhole ? plane : trialSample(plane, TRIAL_BYTES, 1);
  let best: { coder: PlaneCoder; coded: CodedPlane } | undefined;
  for (const coder of coders) {
    const coded = encodeWith(coder, trial);
    if (best === undefined || coded.payload.length < best.coded.payload.length) best = { coder, coded };
  }
  if (best === undefined) return { coder: STORED, payload: plane };
  return trial === plane ? best.coded : encodeWith(best.coder, plane);
}

function encodeWith(coder: PlaneCoder, plane: Uint8Array): CodedPlane {
  return { coder: coder.code, payload: coder.encode(plane) };
}

/** Whether all bytes are the same: compared four at a time where they are aligned. */
export function isConstant(bytes: Uint8Array): boolean {
  const value = bytes[0] ?? 0;
  const head = Math.min(-bytes.byteOffset & 3, bytes.length);
  const tail = bytes.length - ((bytes.length - head) & 3);
  for (let at = 0; at < head; at++) if (bytes[at] !== value) return false;
  for (let at = tail; at < bytes.length; at++) if (bytes[at] !== value) return false;
  if (head === tail) return true;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + head, (tail - head) >> 2);
  const word = Math.imul(value, 0x01010101) >>> 0;
  for (let index = 0; index < words.length; index++) if (words[index] !== word) return false;
  return true;
}
