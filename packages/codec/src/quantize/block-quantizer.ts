/**
 * Quantizers whose `values` are blocks of ggml, scales inside: a chunk of them, and so a slice, needs nothing else. Blocks run over the elements in
 * row-major order. Where the last axis is whole blocks, they are those of ggml, which refuses other shapes; here blocks then run across
 * rows, and the last one is filled up by repeating the last element, which leaves its range as it is.
 */
import type { JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";
import { type DType, dtypeOf } from "../tensor/dtype.ts";
import type { GgmlBlockName } from "../tensor/ggml-blocks.ts";
import { dequantizeBlocksInto } from "../tensor/ggml-dequantize.ts";
import { AbsmaxScan, largestOf } from "./absmax-scan.ts";
import {
  decoderOf,
  groupedShape,
  measuredPlan,
  type ValueCoding,
  type ValueDecoding,
} from "./measured-plan.ts";
import { refuseUnknownParameters } from "./parameters.ts";
import type { QuantizePlan, QuantizeRefusal, Quantizer, QuantizeSource } from "./quantizer.ts";
import { isQuantizable } from "./real-elements.ts";

/** Writes the blocks of `count x block elements` values to `out`. */
export type QuantizeBlocks = (values: Float32Array, count: number, out: Uint8Array) => void;

/** A type of blocks whose scales are float16. */
export interface BlockFormat {
  readonly id: string;
  readonly dtype: GgmlBlockName;
  readonly quantize: QuantizeBlocks;
  /** Magnitudes from here on make a scale that float16 cannot hold. */
  readonly overflow: number;
  /** Magnitudes below make a scale that float16 rounds to 0. */
  readonly underflow: number;
}

/** No block of these formats decodes to more: the largest float16 as scale, times the largest integers beside it. */
const REACH = 65504 * 128 * 128;

/** Encodes elements as whole blocks of `dtype`, the last one filled up. */
export function encodeBlocks(dtype: DType, elements: Float32Array, quantize: QuantizeBlocks): Uint8Array {
  const size = dtype.block!.elements;
  const count = Math.ceil(elements.length / size);
  const out = new Uint8Array((count * dtype.bits) / 8);
  let whole = elements;
  if (elements.length < count * size) {
    whole = new Float32Array(count * size);
    whole.set(elements);
    whole.fill(elements.at(-1)!, elements.length);
  }
  quantize(whole, count, out);
  return out;
}

/** What `values` of a block dtype are in a tensor of this shape. */
export function blockArray(dtype: DType, shape: readonly number[]): ValueCoding["arrays"][number] {
  return { role: "values", dtype, shape: groupedShape(shape, dtype.block!.elements) };
}

/** Bits per weight of a block dtype. */
export function blockBits(dtype: DType): number {
  return dtype.bits / dtype.block!.elements;
}

function decodingOf(values: DType): ValueDecoding {
  return { values, reach: REACH, decode: (bytes, _first, out) => dequantizeBlocksInto(values, bytes, out) };
}

function planOf(
  format: BlockFormat,
  source: QuantizeSource,
  largest: number,
): QuantizePlan | QuantizeRefusal {
  const { id, overflow, underflow, quantize } = format;
  if (largest >= overflow)
    return { refused: `${id} cannot hold ${largest}: its scale would be beyond float16` };
  if (largest > 0 && largest < underflow) {
    return { refused: `${id} cannot hold numbers of at most ${largest}: float16 has no scale so small` };
  }
  const dtype = dtypeOf(format.dtype);
  return measuredPlan(id, source, {
    ...decodingOf(dtype),
    arrays: [blockArray(dtype, source.shape)],
    side: {},
    encode: (elements) => encodeBlocks(dtype, elements, quantize),
  });
}

/** The quantizer of a block format; it takes no parameters. */
export function blockQuantizer(format: BlockFormat): Quantizer {
  const { id } = format;
  const dtype = dtypeOf(format.dtype);
  return {
    id,
    parse(parameters: JsonObject): JsonObject {
      if (parameters.rounding !== undefined) {
        const written = JSON.stringify(parameters.rounding);
        throw new UsageError(
          "rounding",
          `${id}: rounding is ${written}, but ${id} rounds as ggml does; nf4, mxfp4 and int8 take it`,
        );
      }
      refuseUnknownParameters(parameters, [], id);
      return {};
    },
    accepts: isQuantizable,
    bitsPerWeight: () => blockBits(dtype),
    begin(source) {
      const plan = (absmax: Float32Array): QuantizePlan | QuantizeRefusal =>
        planOf(format, source, largestOf(absmax));
      return new AbsmaxScan(id, source, Number.MAX_SAFE_INTEGER, plan);
    },
    dequantizer: (source) => decoderOf(source, decodingOf(dtype)),
  };
}
