/**
 * What most quantizers have in common: how elements become `values` and back is theirs (`ValueCoding`); here it becomes a plan that measures its error,
 * and a decoder. They work in float32, as the formats do that they write; elements of float64 are rounded to it first.
 */
import { DamageError } from "../errors/errors.ts";
import type { DType } from "../tensor/dtype.ts";
import { byteLength, elementCount } from "../tensor/shape.ts";
import { bytesOf, type TypedArray, typedArrayOf } from "../tensor/typed-array.ts";
import { ErrorStatistics, type QuantizationError } from "./error-statistics.ts";
import type {
  ArrayRole,
  Dequantize,
  QuantizedArray,
  QuantizePlan,
  QuantizeRefusal,
  QuantizeSource,
  SideArrays,
} from "./quantizer.ts";
import { bytesOfReal, largestFinite, realElements } from "./real-elements.ts";

/** Bytes of `values` to float32 elements. */
export interface ValueDecoding {
  /** The dtype of `values`; a range of elements begins and ends where whole bytes or blocks of it do, or with the tensor. */
  readonly values: DType;
  /** No decoded magnitude is larger. */
  readonly reach: number;
  /** Writes the elements from `firstElement` on. Where `values` are blocks, `out` has room for whole ones. */
  decode(values: Uint8Array, firstElement: number, out: Float32Array): void;
}

/** Elements to `values` and back. */
export interface ValueCoding extends ValueDecoding {
  readonly arrays: readonly QuantizedArray[];
  readonly side: SideArrays;
  /** Where it is not what `arrays` hold, because a codec packs them further. */
  readonly bitsPerWeight?: number;
  /** Elements from `firstElement` on. */
  encode(elements: Float32Array, firstElement: number): Uint8Array;
}

class MeasuredPlan implements QuantizePlan {
  readonly arrays: readonly QuantizedArray[];
  readonly side: SideArrays;
  readonly bitsPerWeight: number;
  readonly #source: QuantizeSource;
  readonly #coding: ValueCoding;
  readonly #statistics = new ErrorStatistics();
  /** Memory for decoded elements, used again by every `encode`. */
  #scratch = new Float32Array(0);

  constructor(source: QuantizeSource, coding: ValueCoding) {
    this.arrays = coding.arrays;
    this.side = coding.side;
    const bits = coding.arrays.reduce((sum, { dtype, shape }) => sum + dtype.bits * elementCount(shape), 0);
    this.bitsPerWeight = coding.bitsPerWeight ?? bits / elementCount(source.shape);
    this.#source = source;
    this.#coding = coding;
  }

  encode(bytes: Uint8Array, firstElement: number): Uint8Array {
    const { dtype } = this.#source;
    const elements = realElements(dtype, bytes);
    const values = this.#coding.encode(float32Elements(elements), firstElement);
    const room = roomFor(elements.length, this.#coding.values);
    if (this.#scratch.length < room) this.#scratch = new Float32Array(room);
    const decoded = this.#scratch.subarray(0, room);
    this.#coding.decode(values, firstElement, decoded);
    const reached = decoded.subarray(0, elements.length);
    capMagnitudes(reached, dtype, this.#coding.reach);
    // Through the bytes of the source's dtype and back: a reader gets float16 and bfloat16 rounded once more.
    this.#statistics.add(
      elements,
      dtype.bits === 16 ? realElements(dtype, bytesOfReal(dtype, reached)) : reached,
    );
    return values;
  }

  error(): QuantizationError {
    return this.#statistics.result();
  }
}

/** A plan that measures its error; a refusal where the result would be no smaller than the tensor. `what` is the quantizer. */
export function measuredPlan(
  what: string,
  source: QuantizeSource,
  coding: ValueCoding,
): QuantizePlan | QuantizeRefusal {
  const refusal = refusalOfSize(what, source, coding.arrays);
  return refusal ?? new MeasuredPlan(source, coding);
}

/** Why these arrays are not worth storing; undefined when they are smaller than the tensor. */
function refusalOfSize(
  what: string,
  source: QuantizeSource,
  arrays: readonly QuantizedArray[],
): QuantizeRefusal | undefined {
  const sourceBytes = byteLength(source.dtype, source.shape);
  if (sourceBytes === 0) return { refused: "an empty tensor gets no smaller" };
  const storedBytes = arrays.reduce((sum, array) => sum + byteLength(array.dtype, array.shape), 0);
  if (storedBytes < sourceBytes) return undefined;
  const scales = arrays.length > 1 ? " with its scales" : "";
  return { refused: `${what}${scales} takes ${storedBytes} bytes, the tensor itself ${sourceBytes}` };
}

/** A decoder of stored values to bytes of the source's dtype. */
export function decoderOf({ dtype, shape }: QuantizeSource, decoding: ValueDecoding): Dequantize {
  const { values: stored, reach } = decoding;
  const elements = elementCount(shape);
  return (values, firstElement) => {
    const held =
      stored.block === undefined
        ? Math.floor((values.length * 8) / stored.bits)
        : (values.length / (stored.bits / 8)) * stored.block.elements;
    const count = Math.min(held, elements - firstElement);
    const out = new Float32Array(roomFor(count, stored));
    decoding.decode(values, firstElement, out);
    const decoded = out.subarray(0, count);
    capMagnitudes(decoded, dtype, reach);
    return dtype.name === "float64" ? bytesOf(new Float64Array(decoded)) : bytesOfReal(dtype, decoded);
  };
}

/** The small array `role` of a stored tensor. Throws `DamageError` unless it has exactly the length of `count` elements. */
export function sideArray(
  what: string,
  side: SideArrays,
  role: Exclude<ArrayRole, "values">,
  dtype: DType,
  count: number,
): TypedArray {
  const bytes = side[role];
  const expected = (dtype.bits / 8) * count;
  if (bytes?.length !== expected) {
    throw new DamageError(what, `${role} have ${bytes?.length ?? 0} bytes, ${expected} are expected`);
  }
  return typedArrayOf(dtype, bytes);
}

/** Elements as float32; rounded, where they are float64. */
export function float32Elements(elements: Float32Array | Float64Array): Float32Array {
  return elements instanceof Float64Array ? new Float32Array(elements) : elements;
}

/**
 * How often `groupElements` neighbours fit into a tensor, as a shape: groups of the last axis where it is whole groups, else groups of
 * all elements in their order, of which the last one need not be full.
 */
export function groupedShape(shape: readonly number[], groupElements: number): readonly number[] {
  const last = shape.at(-1);
  if (last !== undefined && last % groupElements === 0) return [...shape.slice(0, -1), last / groupElements];
  return [Math.ceil(elementCount(shape) / groupElements)];
}

function roomFor(elements: number, { block }: DType): number {
  return block === undefined ? elements : Math.ceil(elements / block.elements) * block.elements;
}

/** What decodes to more than the dtype's largest number is that one: the sources have no infinities. */
function capMagnitudes(decoded: Float32Array, dtype: DType, reach: number): void {
  const limit = Math.min(largestFinite(dtype), LARGEST_FLOAT32);
  if (reach <= limit) return;
  for (let index = 0; index < decoded.length; index++) {
    decoded[index] = Math.max(-limit, Math.min(limit, decoded[index]!));
  }
}

const LARGEST_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;
