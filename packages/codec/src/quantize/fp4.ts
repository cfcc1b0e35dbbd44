/**
 * Blocks of 4-bit floats (e2m1), in the layouts that tensor/ggml-fp4-kernels.ts draws:
 *
 * - `mxfp4`: 32 elements and a power of two, floor(log2(largest magnitude)) - 2, as OCP Microscaling Formats 1.0 has it (section 6.3). What is beyond
 *   the largest e2m1, 6, becomes 6. ggml's own blocks differ where a value lies halfway between two: it goes towards zero there.
 * - `nvfp4`: runs of 16 elements with an e4m3 scale, and a float32 scale for the tensor (array `scales`, a scalar) that puts the largest
 *   scale on the largest e4m3, 448. Decoded value = e2m1 x scale of the run x scale of the tensor.
 */
import type { JsonObject } from "../bytes/json.ts";
import { type DType, dtypeOf } from "../tensor/dtype.ts";
import { dequantizeBlocksInto } from "../tensor/ggml-dequantize.ts";
import { bytesOf } from "../tensor/typed-array.ts";
import { AbsmaxScan, largestOf } from "./absmax-scan.ts";
import { blockArray, blockBits, encodeBlocks } from "./block-quantizer.ts";
import { decoderOf, measuredPlan, sideArray, type ValueDecoding } from "./measured-plan.ts";
import { sharedExponent } from "./microscaling.ts";
import { refuseUnknownParameters } from "./parameters.ts";
import type { Dequantize, Quantizer, QuantizeScan, QuantizeSource, SideArrays } from "./quantizer.ts";
import { isQuantizable } from "./real-elements.ts";
import { parseRounding, ROUNDING_PARAMETERS, stochasticSeed } from "./rounding.ts";
import { SmallFloat } from "./small-float.ts";

const mxfp4Blocks = dtypeOf("ggml_mxfp4");
const nvfp4Blocks = dtypeOf("ggml_nvfp4");
const float32 = dtypeOf("float32");
const e2m1 = new SmallFloat("float4_e2m1fn", 7);
const e4m3 = new SmallFloat("float8_e4m3fn", 0x7e);
const LARGEST_E2M1 = 6;
const LARGEST_E4M3 = 448;
const SMALLEST_FLOAT32 = 2 ** -149;
const RUN = 16;

/** Writes 4-bit floats of `values`, `run` at a time: the first half in lower, the second in upper halves of bytes. */
function writeHalves(codes: Uint8Array, from: number, run: number, out: Uint8Array, at: number): void {
  const half = run / 2;
  for (let index = 0; index < half; index++) {
    out[at + index] = codes[from + index]! | (codes[from + index + half]! << 4);
  }
}

function codesOf(scaled: Float32Array, seed: number | undefined, firstElement: number): Uint8Array {
  const codes = new Uint8Array(scaled.length);
  if (seed === undefined) e2m1.encode(scaled, scaled.length, codes);
  else e2m1.encodeStochastic(scaled, scaled.length, codes, seed, firstElement);
  return codes;
}

function quantizeMxfp4(
  values: Float32Array,
  count: number,
  out: Uint8Array,
  seed: number | undefined,
  first: number,
): void {
  const scaled = new Float32Array(values.length);
  for (let block = 0, from = 0; block < count; block++) {
    const end = from + 32;
    let largest = 0;
    for (let index = from; index < end; index++) largest = Math.max(largest, Math.abs(values[index]!));
    const exponent = sharedExponent(largest, e2m1.largestExponent);
    const inverse = 2 ** (127 - exponent);
    out[17 * block] = exponent;
    for (; from < end; from++) scaled[from] = values[from]! * inverse;
  }
  const codes = codesOf(scaled, seed, first);
  for (let block = 0; block < count; block++) writeHalves(codes, 32 * block, 32, out, 17 * block + 1);
}

function quantizeNvfp4(
  values: Float32Array,
  count: number,
  out: Uint8Array,
  tensorScale: number,
  seed: number | undefined,
  first: number,
): void {
  const runs = 4 * count;
  const ideal = new Float32Array(runs);
  for (let run = 0, from = 0; run < runs; run++) {
    let largest = 0;
    for (const end = from + RUN; from < end; from++) largest = Math.max(largest, Math.abs(values[from]!));
    ideal[run] = largest / LARGEST_E2M1 / tensorScale;
  }
  const scales = new Uint8Array(runs);
  e4m3.encode(ideal, runs, scales);
  const table = e4m3.values();
  const scaled = new Float32Array(values.length);
  for (let run = 0, from = 0; run < runs; run++) {
    const scale = table[scales[run]!]! * tensorScale;
    const inverse = scale === 0 ? 0 : 1 / scale;
    for (const end = from + RUN; from < end; from++) scaled[from] = values[from]! * inverse;
    out[36 * (run >> 2) + (run & 3)] = scales[run]!;
  }
  const codes = codesOf(scaled, seed, first);
  for (let run = 0; run < runs; run++) {
    writeHalves(codes, RUN * run, RUN, out, 36 * (run >> 2) + 4 + 8 * (run & 3));
  }
}

/** @param scale what all values are multiplied by */
function decodingOf(values: DType, scale: number, reach: number): ValueDecoding {
  return {
    values,
    reach,
    decode(bytes, _firstElement, out) {
      dequantizeBlocksInto(values, bytes, out);
      if (scale !== 1) for (let index = 0; index < out.length; index++) out[index] = out[index]! * scale;
    },
  };
}

function mxfp4Decoding(): ValueDecoding {
  // A shared exponent is so that no element is beyond the exponent of the largest float32; 6 is 1.5 x 2^2.
  return decodingOf(mxfp4Blocks, 1, 1.5 * 2 ** 127);
}

function nvfp4Decoding(tensorScale: number): ValueDecoding {
  return decodingOf(nvfp4Blocks, tensorScale, LARGEST_E2M1 * LARGEST_E4M3 * tensorScale);
}

function common(id: string, dtype: DType): Pick<Quantizer, "id" | "parse" | "accepts" | "bitsPerWeight"> {
  return {
    id,
    parse(parameters: JsonObject): JsonObject {
      refuseUnknownParameters(parameters, ROUNDING_PARAMETERS, id);
      return parseRounding(parameters, id);
    },
    accepts: isQuantizable,
    bitsPerWeight: () => blockBits(dtype),
  };
}

/** The quantizer `mxfp4`; parameters `rounding`, `seed`. */
export const mxfp4: Quantizer = {
  ...common("mxfp4", mxfp4Blocks),
  begin(source: QuantizeSource, parameters: JsonObject): QuantizeScan {
    const seed = stochasticSeed(parameters);
    return new AbsmaxScan("mxfp4", source, Number.MAX_SAFE_INTEGER, () =>
      measuredPlan("mxfp4", source, {
        ...mxfp4Decoding(),
        arrays: [blockArray(mxfp4Blocks, source.shape)],
        side: {},
        encode: (elements, first) =>
          encodeBlocks(mxfp4Blocks, elements, (values, count, out) =>
            quantizeMxfp4(values, count, out, seed, first),
          ),
      }),
    );
  },
  dequantizer: (source) => decoderOf(source, mxfp4Decoding()),
};

/** The quantizer `nvfp4`; parameters `rounding`, `seed`. */
export const nvfp4: Quantizer = {
  ...common("nvfp4", nvfp4Blocks),
  begin(source: QuantizeSource, parameters: JsonObject): QuantizeScan {
    const seed = stochasticSeed(parameters);
    return new AbsmaxScan("nvfp4", source, Number.MAX_SAFE_INTEGER, (absmax) => {
      const largest = largestOf(absmax);
      const ideal = Math.fround(largest / (LARGEST_E2M1 * LARGEST_E4M3));
      const tensorScale = largest === 0 ? 1 : Math.max(ideal, SMALLEST_FLOAT32);
      return measuredPlan("nvfp4", source, {
        ...nvfp4Decoding(tensorScale),
        arrays: [blockArray(nvfp4Blocks, source.shape), { role: "scales", dtype: float32, shape: [] }],
        side: { scales: bytesOf(Float32Array.of(tensorScale)) },
        encode: (elements, first) =>
          encodeBlocks(nvfp4Blocks, elements, (values, count, out) =>
            quantizeNvfp4(values, count, out, tensorScale, seed, first),
          ),
      });
    });
  },
  dequantizer(source: QuantizeSource, _parameters: JsonObject, side: SideArrays): Dequantize {
    const [tensorScale] = sideArray("nvfp4", side, "scales", float32, 1) as Float32Array;
    return decoderOf(source, nvfp4Decoding(tensorScale!));
  },
};
