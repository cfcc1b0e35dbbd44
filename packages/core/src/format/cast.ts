/**
 * Tensors in another float dtype on their way into a file. Floats of every width and blocks are converted; integers, truth values and complex
 * numbers stay what they are.
 */
import {
  bytesOfElements,
  type DType,
  dequantizeBlocks,
  dequantizedShape,
  dtypeOf,
  elementCount,
  fromFloat32,
  toFloat32,
  typedArrayOf,
  UsageError,
} from "@tensorcask/codec";
import { wholeElements } from "./npz/row-major.ts";
import type { OutputTensor } from "./writer.ts";

/** What tensors can be converted to. */
export type CastTarget = "float32" | "float16" | "bfloat16";

/** All of them. */
const castTargets: readonly CastTarget[] = ["float32", "float16", "bfloat16"];

/**
 * The tensor with its elements rounded to nearest, ties to even; what is too large becomes infinite. The tensor itself if nothing is to be converted.
 * Throws `UsageError` for blocks whose values cannot be read, and for other targets. Await `ready()` first.
 */
export function castTensor(tensor: OutputTensor, to: CastTarget | undefined): OutputTensor {
  if (to !== undefined && !castTargets.includes(to)) {
    throw new UsageError("as", `as ${JSON.stringify(to)} is not known; ${castTargets.join(", ")} are`);
  }
  const { name, dtype, shape } = tensor;
  const isConverted = dtype.kind === "float" || dtype.kind === "exponent" || dtype.kind === "block";
  if (to === undefined || dtype.name === to || !isConverted) return tensor;
  // Of no blocks at all: whether there is code for them is known before anything is written.
  if (dtype.kind === "block") dequantizeBlocks(dtype, new Uint8Array(0));
  return {
    name,
    dtype: dtypeOf(to),
    shape: dequantizedShape(dtype, shape),
    elements: () => converted(tensor, to),
  };
}

async function* converted(tensor: OutputTensor, to: CastTarget): AsyncGenerator<Uint8Array> {
  const { dtype } = tensor;
  let left = elementCount(tensor.shape);
  for await (const piece of wholeElements(wholeBytes(tensor), groupBytes(dtype))) {
    const count = Math.min(left, Math.floor((piece.length * 8) / dtype.bits));
    left -= count;
    const values = valuesOf(dtype, piece.subarray(0, bytesOfElements(dtype, count)), count, to);
    yield fromFloat32(values, to);
  }
}

function valuesOf(dtype: DType, bytes: Uint8Array, count: number, to: CastTarget): Float32Array {
  if (dtype.kind === "block") return dequantizeBlocks(dtype, bytes);
  if (dtype.name === "float64" && to !== "float32") {
    return roundedToOdd(typedArrayOf(dtype, bytes) as Float64Array);
  }
  return toFloat32(dtype, bytes, count);
}

/** Bytes of the smallest run of elements that fills whole bytes. */
function groupBytes({ bits }: DType): number {
  const lowestBit = bits & -bits;
  return bits / Math.min(8, lowestBit);
}

/** The elements, filled up with zeros to a whole group. */
async function* wholeBytes(tensor: OutputTensor): AsyncGenerator<Uint8Array> {
  yield* tensor.elements();
  const group = groupBytes(tensor.dtype);
  const over = bytesOfElements(tensor.dtype, elementCount(tensor.shape)) % group;
  if (over > 0) yield new Uint8Array(group - over);
}

/**
 * Doubles as float32, cut off, with the last bit set where something was lost: rounding that once more to 16 bits gives what rounding the double
 * once would have given.
 */
function roundedToOdd(values: Float64Array): Float32Array {
  const out = new Float32Array(values);
  const bits = new Uint32Array(out.buffer);
  for (let index = 0; index < out.length; index++) {
    const exact = values[index]!;
    const nearest = out[index]!;
    if (nearest === exact || Number.isNaN(exact)) continue;
    if (Math.abs(nearest) > Math.abs(exact)) bits[index]! -= 1;
    bits[index]! |= 1;
  }
  return out;
}
