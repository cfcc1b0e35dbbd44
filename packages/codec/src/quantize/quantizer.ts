/**
 * What a quantizer is. Quantizing takes two passes over a tensor, element range by element range, so that a tensor larger than memory
 * can be quantized: a scan finds ranges (or a reason to refuse), the plan it ends in encodes.
 *
 *     quantizer.begin -> scan.push ... scan.finish -> plan.encode ... plan.error()
 *
 * Element ranges may come in any order and sizes, each element once in each pass; in the second they begin and end where `values` can be cut.
 * What is stored goes by its `role`: `values` come out of `encode`, `scales` and `zeros` are small and whole in `side`.
 * Quantizer and parameters are recorded with the tensor, and decoding uses what is recorded, never what is configured at the time.
 *
 * `values` are elements of the tensor's shape, or blocks (`dtype.block`) of neighbours: block i holds the elements from i times the block's size
 * on, in row-major order; the last block may hold fewer. So chunks of `values`, cut by their own dtype and shape (`ElementGeometry`), cover the source
 * elements from `first x block elements` on, and decoding needs no more than these bytes and `side`.
 */
import type { JsonObject } from "../bytes/json.ts";
import type { DType } from "../tensor/dtype.ts";
import type { QuantizationError } from "./error-statistics.ts";

/** The tensor that is quantized. */
export interface QuantizeSource {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** What an array of a quantized tensor is for. */
export type ArrayRole = "values" | "scales" | "zeros";

/** An array that a quantized tensor is stored as. */
export interface QuantizedArray {
  readonly role: ArrayRole;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Little-endian bytes of the small arrays beside `values`. */
export interface SideArrays {
  readonly scales?: Uint8Array;
  readonly zeros?: Uint8Array;
}

/** Decodes the `values` bytes of the elements from `firstElement` on to little-endian bytes of the original dtype. */
export type Dequantize = (values: Uint8Array, firstElement: number) => Uint8Array;

/** The second pass. */
export interface QuantizePlan {
  readonly arrays: readonly QuantizedArray[];
  readonly side: SideArrays;
  /** Everything that is stored, scales included, over the number of elements; as a codec packs it, where it takes one to be small. */
  readonly bitsPerWeight: number;
  /**
   * Source bytes of the elements from `firstElement` on, to the `values` bytes of these elements. The range begins and ends where whole bytes of
   * `values` (whole blocks of block dtypes) do, or with the tensor. Also measures the error.
   */
  encode(bytes: Uint8Array, firstElement: number): Uint8Array;
  /** The error over all elements encoded so far. */
  error(): QuantizationError;
}

/** Why a tensor is stored without loss instead; `refused` is a sentence for the record's note. */
export interface QuantizeRefusal {
  readonly refused: string;
}

/** The first pass. */
export interface QuantizeScan {
  /** Source bytes of the elements from `firstElement` on. */
  push(bytes: Uint8Array, firstElement: number): void;
  /** Call once, when every element was pushed. */
  finish(): QuantizeRefusal | QuantizePlan;
}

/** A lossy step. One object in one file, and one line in registry.ts. */
export interface Quantizer {
  readonly id: string;
  /** Parameters as they are recorded: defaults filled in. Throws `UsageError` naming an unknown key or wrong value. */
  parse(parameters: JsonObject): JsonObject;
  /** Whether tensors of this dtype can be quantized, and would come out smaller. */
  accepts(dtype: DType): boolean;
  /** Bits per weight of large tensors of `source`, scales included, for choosing among quantizers. `parameters` are parsed ones. */
  bitsPerWeight(parameters: JsonObject, source: DType): number;
  /** Starts the first pass. `parameters` are parsed ones. */
  begin(source: QuantizeSource, parameters: JsonObject): QuantizeScan;
  /** A decoder for what `begin(source, parameters)` led to. Throws `DamageError` when `side` does not fit. */
  dequantizer(source: QuantizeSource, parameters: JsonObject, side: SideArrays): Dequantize;
}
