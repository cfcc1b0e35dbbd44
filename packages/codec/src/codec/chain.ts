/**
 * A chain of codecs over one chunk. What is stored of it are its steps: the code of each, in the order of
 * encoding, and the bytes that went into it.
 *
 *   chunk (131,072 B) -> planes -> 90,112 B -> gzip -> 88,000 B        steps: [{ 5, 131072 }, { 1, 90112 }]
 *
 * `inputBytes` is what a decoder needs (its exact output length), and what statistics need (what each step
 * earned). Of a chain, the prefix with the smallest output is kept: a step that does not pay is not stored, a
 * chain that does not pay is stored raw.
 */
import type { JsonObject } from "../bytes/json.ts";
import { DamageError, LimitError } from "../errors/errors.ts";
import { type DType, dtypeOf } from "../tensor/dtype.ts";
import type { Codec, CodecKind, DecodeContext, EncodeContext } from "./codec.ts";
import { codecOfCode } from "./registry.ts";

/** One stored step: code of the codec, and the length of what was put into it. */
export interface Step {
  readonly code: number;
  readonly inputBytes: number;
}

/** A chunk as coded: no steps means that `payload` is the chunk itself (the same memory, not a copy). */
export interface CodedChunk {
  readonly steps: readonly Step[];
  readonly payload: Uint8Array;
}

/** A codec with its checked parameters, ready to run. */
export interface ChainLink {
  readonly codec: Codec;
  readonly parameters: JsonObject;
}

/** A link with parameters as a user would write them. Throws `UsageError` that names a wrong one. */
export function chainLink(codec: Codec, parameters: JsonObject = {}): ChainLink {
  return { codec, parameters: codec.parse(parameters) };
}

/** Longest chain: one byte counts it in a frame, and no sensible chain has more links. */
export const MAX_STEPS = 8;

/**
 * Most bytes that an intermediate result may have: twice the largest chunk. Steps may grow what they get a
 * little (tables, escapes); one that doubles it helps nobody, and a damaged length must not ask for more.
 */
export const MAX_STEP_BYTES = 33_554_432;

const uint8 = dtypeOf("uint8");

/**
 * Runs a chain over a chunk and keeps the prefix of it that gives the smallest payload.
 * `repeats`: what `hasRepeats` says of the chunk, where the caller has looked already. `out`: room that the
 * result of a chain of one step may lie in.
 */
export function encodeChain(
  bytes: Uint8Array,
  dtype: DType,
  links: readonly ChainLink[],
  repeats?: boolean,
  out?: Uint8Array,
): CodedChunk {
  const steps: Step[] = [];
  let best: CodedChunk = { steps: [], payload: bytes };
  let current = bytes;
  let elementType = dtype;
  for (const { codec, parameters } of links) {
    steps.push({ code: codec.code, inputBytes: current.length });
    const context: EncodeContext = {
      dtype: elementType,
      ...(steps.length === 1 && repeats !== undefined && { repeats }),
      ...(links.length === 1 && out !== undefined && { out }),
    };
    current = codec.encode(current, context, parameters);
    if (current.length > MAX_STEP_BYTES) break;
    elementType = dtypeBehind(codec.kind, elementType);
    if (current.length < best.payload.length) best = { steps: [...steps], payload: current };
  }
  return best;
}

/** What may be given to decode a chunk with. */
export interface DecodeOptions {
  /** Room for the chunk, of exactly its length: the result may lie there. */
  readonly out?: Uint8Array | undefined;
  /** The bytes of the chunk that this one is coded against. */
  readonly sibling?: Uint8Array | undefined;
}

/**
 * Undoes a stored chain: `rawBytes` bytes, or `DamageError`. The result may be a view of `payload`, or `out`.
 * Steps whose codes this version does not know are refused by number.
 */
export function decodeChain(
  payload: Uint8Array,
  steps: readonly Step[],
  rawBytes: number,
  dtype: DType,
  where = "codec chain",
  { out, sibling }: DecodeOptions = {},
): Uint8Array {
  if (steps.length > MAX_STEPS)
    throw new DamageError(where, `has ${steps.length} steps, the limit is ${MAX_STEPS}`);
  const found = steps.map((step, index) => {
    const codec = codecOfCode(step.code);
    if (codec === undefined) {
      throw new DamageError(where, `step ${index + 1} has the unknown codec code ${step.code}`);
    }
    if (codec.needsSibling && index > 0)
      throw new DamageError(where, `step ${index + 1} is ${codec.id}, which can only be the first`);
    if (!(step.inputBytes >= 0 && step.inputBytes <= MAX_STEP_BYTES)) {
      throw new DamageError(
        where,
        `step ${index + 1} declares ${step.inputBytes} bytes, the limit is ${MAX_STEP_BYTES}`,
      );
    }
    return codec;
  });
  const outer = steps.length === 0 ? payload.length : steps[0]!.inputBytes;
  if (outer !== rawBytes) throw new DamageError(where, `holds ${outer} bytes of a chunk of ${rawBytes}`);

  const elementTypes = [dtype];
  for (const codec of found)
    elementTypes.push(dtypeBehind(codec.kind, elementTypes[elementTypes.length - 1]!));
  let current = payload;
  try {
    for (let index = steps.length - 1; index >= 0; index--) {
      const context: DecodeContext = {
        dtype: elementTypes[index]!,
        bytes: steps[index]!.inputBytes,
        ...(index === 0 && out !== undefined && { out }),
        ...(index === 0 && sibling !== undefined && { sibling }),
      };
      current = found[index]!.decode(current, context);
    }
  } catch (error) {
    // A number that no encoder writes is damage like any other here.
    if (error instanceof LimitError) throw new DamageError(where, error.message, { cause: error });
    throw error;
  }
  return current;
}

/** The element type that a step hands on: arrays stay arrays, anything else is bytes. */
function dtypeBehind(kind: CodecKind, dtype: DType): DType {
  return kind === "array-to-array" ? dtype : uint8;
}
