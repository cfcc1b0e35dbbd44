/**
 * Floats as int8. Per tensor (asymmetric: one scale, one zero point) or per channel of axis 0 (symmetric: a scale each); int8-scale.ts has the
 * arithmetic. NaN and infinities are a reason to refuse the tensor, and so is a shape for which the result would be no smaller.
 *
 *     granularity   tensors of rank 0 and 1   others
 *     auto          tensor                    channel
 *     tensor        tensor                    tensor
 *     channel       tensor (no channels)      channel
 */
import { float32ToInt8, int8ToFloat32 } from "@tensorcask/kernels";
import type { JsonObject } from "../bytes/json.ts";
import { DamageError } from "../errors/errors.ts";
import { type DType, dtypeOf } from "../tensor/dtype.ts";
import { byteLength, elementCount } from "../tensor/shape.ts";
import { bytesOf, typedArrayOf } from "../tensor/typed-array.ts";
import { ErrorStatistics, type QuantizationError } from "./error-statistics.ts";
import { asymmetricScale, decodedLimit, scaleDTypeOf, symmetricScale } from "./int8-scale.ts";
import { choiceParameter, refuseUnknownParameters } from "./parameters.ts";
import type {
  Dequantize,
  QuantizedArray,
  QuantizePlan,
  QuantizeRefusal,
  Quantizer,
  QuantizeScan,
  QuantizeSource,
  SideArrays,
} from "./quantizer.ts";
import { bytesOfReal, emptyReals, isQuantizable, realElements } from "./real-elements.ts";
import {
  parseRounding,
  ROUNDING_PARAMETERS,
  randomBase,
  randomFraction,
  stochasticSeed,
} from "./rounding.ts";

const int8Values = dtypeOf("int8");
const int32 = dtypeOf("int32");
/** Adding and taking away 1.5 x 2^52 rounds a double below 2^51 to the nearest integer, ties to even. */
const ROUNDER = 6755399441055744;
const HIGHEST = 127;
/** From here on a channel is worth the copies into the kernels' memory. */
const KERNEL_ELEMENTS = 128;

/** How a tensor falls into channels; per tensor is one channel over everything. */
interface Layout {
  readonly perChannel: boolean;
  readonly channels: number;
  readonly channelElements: number;
}

/** Scales, and one zero point for all channels: only the single channel of a whole tensor has one that is not 0. */
interface Scales {
  readonly scales: Float32Array | Float64Array;
  readonly zero: number;
  /** Decoded magnitudes are capped here; Infinity where none can be too large. */
  readonly limit: number;
}

function layoutOf(source: QuantizeSource, parameters: JsonObject): Layout {
  const elements = elementCount(source.shape);
  const perChannel = source.shape.length > 1 && parameters.granularity !== "tensor";
  const channels = perChannel ? source.shape[0]! : 1;
  return { perChannel, channels, channelElements: channels === 0 ? 0 : elements / channels };
}

class Int8Scan implements QuantizeScan {
  readonly #source: QuantizeSource;
  readonly #layout: Layout;
  readonly #seed: number | undefined;
  readonly #minima: Float64Array;
  readonly #maxima: Float64Array;
  #notANumber = 0;

  constructor(source: QuantizeSource, parameters: JsonObject) {
    this.#source = source;
    this.#layout = layoutOf(source, parameters);
    this.#seed = stochasticSeed(parameters);
    this.#minima = new Float64Array(this.#layout.channels).fill(Number.POSITIVE_INFINITY);
    this.#maxima = new Float64Array(this.#layout.channels).fill(Number.NEGATIVE_INFINITY);
  }

  push(bytes: Uint8Array, firstElement: number): void {
    const elements = realElements(this.#source.dtype, bytes);
    const { channelElements } = this.#layout;
    for (let from = 0; from < elements.length; ) {
      const channel = Math.floor((firstElement + from) / channelElements);
      const to = Math.min(elements.length, (channel + 1) * channelElements - firstElement);
      this.#range(elements, from, to, channel);
      from = to;
    }
  }

  #range(elements: Float32Array | Float64Array, from: number, to: number, channel: number): void {
    let minimum = Number.POSITIVE_INFINITY;
    let maximum = Number.NEGATIVE_INFINITY;
    // Math.min and Math.max keep NaN, so that it need not be looked for element by element.
    for (let index = from; index < to; index++) {
      minimum = Math.min(minimum, elements[index]!);
      maximum = Math.max(maximum, elements[index]!);
    }
    if (Number.isNaN(minimum)) {
      for (let index = from; index < to; index++) if (Number.isNaN(elements[index])) this.#notANumber++;
      return;
    }
    this.#minima[channel] = Math.min(this.#minima[channel]!, minimum);
    this.#maxima[channel] = Math.max(this.#maxima[channel]!, maximum);
  }

  finish(): QuantizeRefusal | QuantizePlan {
    const { dtype, shape } = this.#source;
    if (this.#notANumber > 0) {
      return { refused: `int8 cannot hold NaN (${this.#notANumber} of ${elementCount(shape)} elements)` };
    }
    const arrays = arraysOf(this.#source, this.#layout);
    const sourceBytes = byteLength(dtype, shape);
    const storedBytes = arrays.reduce((sum, array) => sum + byteLength(array.dtype, array.shape), 0);
    if (storedBytes >= sourceBytes) {
      return { refused: `int8 with its scales takes ${storedBytes} bytes, the tensor itself ${sourceBytes}` };
    }
    if (this.#minima.includes(Number.NEGATIVE_INFINITY) || this.#maxima.includes(Number.POSITIVE_INFINITY)) {
      return { refused: "int8 cannot hold infinities" };
    }
    return new Int8Plan(this.#source, this.#layout, arrays, this.#scales(), this.#seed);
  }

  #scales(): Scales {
    const { dtype } = this.#source;
    const scales = emptyReals(dtype, this.#layout.channels);
    if (!this.#layout.perChannel) {
      const { scale, zero } = asymmetricScale(this.#minima[0]!, this.#maxima[0]!, dtype);
      scales[0] = scale;
      return { scales, zero, limit: decodedLimit(dtype, scales, zero) };
    }
    for (let channel = 0; channel < scales.length; channel++) {
      scales[channel] = symmetricScale(this.#minima[channel]!, this.#maxima[channel]!, dtype);
    }
    return { scales, zero: 0, limit: decodedLimit(dtype, scales, 0) };
  }
}

class Int8Plan implements QuantizePlan {
  readonly arrays: readonly QuantizedArray[];
  readonly side: SideArrays;
  readonly bitsPerWeight: number;
  readonly #source: QuantizeSource;
  readonly #layout: Layout;
  readonly #scales: Scales;
  readonly #seed: number | undefined;
  readonly #statistics = new ErrorStatistics();
  #scratch: Float32Array | Float64Array;

  constructor(
    source: QuantizeSource,
    layout: Layout,
    arrays: readonly QuantizedArray[],
    scales: Scales,
    seed: number | undefined,
  ) {
    this.#seed = seed;
    this.arrays = arrays;
    this.#source = source;
    this.#layout = layout;
    this.#scales = scales;
    this.#scratch = emptyReals(source.dtype, 0);
    const side = { scales: bytesOf(scales.scales) };
    this.side = layout.perChannel ? side : { ...side, zeros: bytesOf(new Int32Array([scales.zero])) };
    const bits = arrays.reduce((sum, array) => sum + array.dtype.bits * elementCount(array.shape), 0);
    this.bitsPerWeight = bits / elementCount(source.shape);
  }

  encode(bytes: Uint8Array, firstElement: number): Uint8Array {
    const elements = realElements(this.#source.dtype, bytes);
    const values = new Int8Array(elements.length);
    const { channelElements, perChannel } = this.#layout;
    const lowest = perChannel ? -127 : -128;
    for (let from = 0; from < elements.length; ) {
      const channel = Math.floor((firstElement + from) / channelElements);
      const to = Math.min(elements.length, (channel + 1) * channelElements - firstElement);
      const scale = this.#scales.scales[channel]!;
      if (this.#seed === undefined) encodeRun(elements, values, from, to, scale, this.#scales.zero, lowest);
      else {
        const base = randomBase(this.#seed);
        encodeRunStochastic(elements, values, from, to, scale, this.#scales.zero, lowest, base, firstElement);
      }
      from = to;
    }
    const decoded = this.#scratchOf(values.length);
    decode(values, firstElement, this.#layout, this.#scales, decoded);
    // Through the bytes of the source's dtype and back: a reader gets float16 and bfloat16 rounded once more.
    const narrow = this.#source.dtype.bits === 16;
    this.#statistics.add(elements, narrow ? rounded(this.#source.dtype, decoded) : decoded);
    return bytesOf(values);
  }

  error(): QuantizationError {
    return this.#statistics.result();
  }

  /** Memory for decoded elements, used again by every `encode`. */
  #scratchOf(count: number): Float32Array | Float64Array {
    if (this.#scratch.length < count) this.#scratch = emptyReals(this.#source.dtype, count);
    return this.#scratch.subarray(0, count);
  }
}

function arraysOf(source: QuantizeSource, layout: Layout): QuantizedArray[] {
  const scaleDType = scaleDTypeOf(source.dtype);
  const values: QuantizedArray = { role: "values", dtype: int8Values, shape: source.shape };
  if (layout.perChannel) return [values, { role: "scales", dtype: scaleDType, shape: [layout.channels] }];
  return [
    values,
    { role: "scales", dtype: scaleDType, shape: [] },
    { role: "zeros", dtype: int32, shape: [] },
  ];
}

function encodeRun(
  elements: Float32Array | Float64Array,
  values: Int8Array,
  from: number,
  to: number,
  scale: number,
  zero: number,
  lowest: number,
): void {
  if (elements instanceof Float32Array && to - from >= KERNEL_ELEMENTS) {
    float32ToInt8(elements.subarray(from, to), scale, zero, lowest, values.subarray(from, to));
    return;
  }
  for (let index = from; index < to; index++) {
    // Integers from here on: |element / scale| and |zero| stay below 2^30 + 256. Math.min and Math.max would be three times slower here.
    const value = ((elements[index]! / scale + ROUNDER - ROUNDER) | 0) + zero;
    if (value > HIGHEST) values[index] = HIGHEST;
    else if (value < lowest) values[index] = lowest;
    else values[index] = value;
  }
}

/** As `encodeRun`, rounded stochastically; index 0 is the element `firstElement` of the tensor. */
function encodeRunStochastic(
  elements: Float32Array | Float64Array,
  values: Int8Array,
  from: number,
  to: number,
  scale: number,
  zero: number,
  lowest: number,
  base: number,
  firstElement: number,
): void {
  for (let index = from; index < to; index++) {
    const steps = Math.floor(elements[index]! / scale + randomFraction(base, firstElement + index));
    values[index] = Math.max(lowest, Math.min(HIGHEST, steps + zero));
  }
}

/** Decodes the values from `firstElement` on into `out`, an array of the same length and of the scales' type. */
function decode(
  values: Int8Array,
  firstElement: number,
  layout: Layout,
  { scales, zero, limit }: Scales,
  out: Float32Array | Float64Array,
): void {
  const { channelElements } = layout;
  for (let from = 0; from < values.length; ) {
    const channel = Math.floor((firstElement + from) / channelElements);
    const to = Math.min(values.length, (channel + 1) * channelElements - firstElement);
    const scale = scales[channel]!;
    if (out instanceof Float32Array && to - from >= KERNEL_ELEMENTS) {
      int8ToFloat32(values.subarray(from, to), scale, zero, out.subarray(from, to));
    } else {
      for (let index = from; index < to; index++) out[index] = (values[index]! - zero) * scale;
    }
    from = to;
  }
  if (limit < Number.POSITIVE_INFINITY) capMagnitudes(out, limit);
}

function capMagnitudes(elements: Float32Array | Float64Array, limit: number): void {
  for (let index = 0; index < elements.length; index++) {
    elements[index] = Math.max(-limit, Math.min(limit, elements[index]!));
  }
}

function rounded(dtype: DType, elements: Float32Array | Float64Array): Float32Array | Float64Array {
  return realElements(dtype, bytesOfReal(dtype, elements));
}

/** The small arrays of a stored tensor, with the lengths that its shape demands. */
function scalesOf(source: QuantizeSource, layout: Layout, side: SideArrays): Scales {
  const scaleDType = scaleDTypeOf(source.dtype);
  const expected = (scaleDType.bits / 8) * layout.channels;
  if (side.scales?.length !== expected) {
    throw new DamageError("int8", `scales have ${side.scales?.length ?? 0} bytes, ${expected} are expected`);
  }
  const scales = typedArrayOf(scaleDType, side.scales) as Float32Array | Float64Array;
  if (layout.perChannel) return { scales, zero: 0, limit: decodedLimit(source.dtype, scales, 0) };
  if (side.zeros?.length !== 4) {
    throw new DamageError("int8", `zeros have ${side.zeros?.length ?? 0} bytes, 4 are expected`);
  }
  const zero = (typedArrayOf(int32, side.zeros) as Int32Array)[0]!;
  return { scales, zero, limit: decodedLimit(source.dtype, scales, zero) };
}

/** The quantizer `int8`; parameters `granularity` (`auto`, `tensor` or `channel`), `rounding`, `seed`. */
export const int8: Quantizer = {
  id: "int8",
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["granularity", ...ROUNDING_PARAMETERS], "int8");
    const granularity = choiceParameter(parameters, "granularity", "int8", ["auto", "tensor", "channel"]);
    return { granularity, ...parseRounding(parameters, "int8") };
  },
  accepts(dtype: DType): boolean {
    return isQuantizable(dtype);
  },
  bitsPerWeight: () => 8,
  begin(source: QuantizeSource, parameters: JsonObject): QuantizeScan {
    return new Int8Scan(source, parameters);
  },
  dequantizer(source: QuantizeSource, parameters: JsonObject, side: SideArrays): Dequantize {
    const layout = layoutOf(source, parameters);
    const scales = scalesOf(source, layout, side);
    return (values, firstElement) => {
      const integers = new Int8Array(values.buffer, values.byteOffset, values.length);
      const decoded = emptyReals(source.dtype, integers.length);
      decode(integers, firstElement, layout, scales, decoded);
      return bytesOfReal(source.dtype, decoded);
    };
  },
};
