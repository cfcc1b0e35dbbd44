/**
 * 4-bit NormalFloat (QLoRA, Dettmers et al. 2023, appendix E): blocks of 64 neighbours in row-major order are divided by their largest magnitude and
 * rounded to the nearest of 16 values, quantiles of the normal distribution. `values` are the numbers of these, as uint4, in the tensor's shape.
 *
 *     nf4      `scales`: float32, the largest magnitude of each block
 *     nf4-dq   `scales`: uint8, bytes: for every 256 blocks  | f32 g | up to 256 x u8 |, the scale of a block is u8 x g
 *              (g is a 255th of the largest of them; a block that is not all zeros has a scale of at least g)
 */
import type { JsonObject } from "../bytes/json.ts";
import { DamageError } from "../errors/errors.ts";
import { type DType, dtypeOf } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import { bytesOf } from "../tensor/typed-array.ts";
import { AbsmaxScan, largestOf } from "./absmax-scan.ts";
import {
  decoderOf,
  groupedShape,
  measuredPlan,
  sideArray,
  type ValueCoding,
  type ValueDecoding,
} from "./measured-plan.ts";
import { NearestValue } from "./nearest-value.ts";
import { packPairs } from "./packed-pairs.ts";
import { refuseUnknownParameters } from "./parameters.ts";
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
import { isQuantizable } from "./real-elements.ts";
import { parseRounding, ROUNDING_PARAMETERS, stochasticSeed } from "./rounding.ts";

const BLOCK = 64;
const GROUP = 256;
const uint4 = dtypeOf("uint4");
const uint8 = dtypeOf("uint8");
const float32 = dtypeOf("float32");

/** The values as float32 (bitsandbytes, `dequantize_4bit`). */
const NORMAL_FLOATS = new Float32Array([
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
]);

const nearest = new NearestValue(NORMAL_FLOATS);

/** How the scales of blocks are stored. */
interface ScaleForm {
  readonly id: string;
  readonly bitsPerWeight: number;
  array(shape: readonly number[]): QuantizedArray;
  /** Bytes of the scales, which are rounded in place to what they decode to. */
  write(scales: Float32Array): Uint8Array;
  read(side: SideArrays, blocks: number): Float32Array;
}

const plainScales: ScaleForm = {
  id: "nf4",
  bitsPerWeight: 4 + 32 / BLOCK,
  array: (shape) => ({ role: "scales", dtype: float32, shape: groupedShape(shape, BLOCK) }),
  write: bytesOf,
  read: (side, blocks) => sideArray("nf4", side, "scales", float32, blocks) as Float32Array,
};

const doubleQuantized: ScaleForm = {
  id: "nf4-dq",
  bitsPerWeight: 4 + 8 / BLOCK + 32 / (BLOCK * GROUP),
  array: (shape) => ({
    role: "scales",
    dtype: uint8,
    shape: [groupedBytes(Math.ceil(elementCount(shape) / BLOCK))],
  }),
  write(scales) {
    const out = new Uint8Array(groupedBytes(scales.length));
    const view = new DataView(out.buffer);
    for (let from = 0, at = 0; from < scales.length; ) {
      const group = scales.subarray(from, from + GROUP);
      const largest = largestOf(group);
      const step = largest === 0 ? 0 : Math.max(Math.fround(largest / 255), 2 ** -149);
      view.setFloat32(at, step, true);
      at += 4;
      for (let index = 0; index < group.length; index++, from++, at++) {
        const magnitude = group[index]!;
        const multiple = magnitude === 0 ? 0 : Math.max(1, Math.min(255, Math.round(magnitude / step)));
        out[at] = multiple;
        scales[from] = multiple * step;
      }
    }
    return out;
  },
  read({ scales: bytes }, blocks) {
    const expected = groupedBytes(blocks);
    if (bytes?.length !== expected) {
      throw new DamageError("nf4-dq", `scales have ${bytes?.length ?? 0} bytes, ${expected} are expected`);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const scales = new Float32Array(blocks);
    for (let from = 0, at = 0; from < blocks; ) {
      const step = view.getFloat32(at, true);
      at += 4;
      for (const end = Math.min(blocks, from + GROUP); from < end; from++, at++)
        scales[from] = bytes[at]! * step;
    }
    return scales;
  },
};

function groupedBytes(blocks: number): number {
  return blocks + 4 * Math.ceil(blocks / GROUP);
}

function decodingOf(scales: Float32Array): ValueDecoding {
  return {
    values: uint4,
    reach: largestOf(scales),
    decode(values, firstElement, out) {
      for (let from = 0; from < out.length; ) {
        const block = Math.floor((firstElement + from) / BLOCK);
        const to = Math.min(out.length, (block + 1) * BLOCK - firstElement);
        const scale = scales[block]!;
        // Ranges begin on whole bytes, so that even elements are in lower halves.
        if (from % 2 === 1) {
          out[from] = NORMAL_FLOATS[values[from >> 1]! >> 4]! * scale;
          from += 1;
        }
        for (; from + 1 < to; from += 2) {
          const pair = values[from >> 1]!;
          out[from] = NORMAL_FLOATS[pair & 15]! * scale;
          out[from + 1] = NORMAL_FLOATS[pair >> 4]! * scale;
        }
        for (; from < to; from++) out[from] = NORMAL_FLOATS[values[from >> 1]! & 15]! * scale;
      }
    },
  };
}

function codingOf(
  form: ScaleForm,
  source: QuantizeSource,
  scales: Float32Array,
  seed: number | undefined,
): ValueCoding {
  const bytes = form.write(scales);
  return {
    ...decodingOf(scales),
    arrays: [{ role: "values", dtype: uint4, shape: source.shape }, form.array(source.shape)],
    side: { scales: bytes },
    encode(elements, firstElement) {
      const codes = new Uint8Array(elements.length);
      for (let from = 0; from < elements.length; ) {
        const block = Math.floor((firstElement + from) / BLOCK);
        const to = Math.min(elements.length, (block + 1) * BLOCK - firstElement);
        const scale = scales[block]!;
        const inverse = scale === 0 ? 0 : 1 / scale;
        if (seed === undefined) nearest.encode(elements, from, to, inverse, codes);
        else nearest.encodeStochastic(elements, from, to, inverse, codes, seed, firstElement);
        from = to;
      }
      return packPairs(codes);
    },
  };
}

function normalFloat(form: ScaleForm): Quantizer {
  const { id } = form;
  return {
    id,
    parse(parameters: JsonObject): JsonObject {
      refuseUnknownParameters(parameters, ROUNDING_PARAMETERS, id);
      return parseRounding(parameters, id);
    },
    accepts: (dtype: DType) => isQuantizable(dtype),
    bitsPerWeight: () => form.bitsPerWeight,
    begin(source: QuantizeSource, parameters: JsonObject): QuantizeScan {
      const seed = stochasticSeed(parameters);
      const plan = (absmax: Float32Array): QuantizePlan | QuantizeRefusal =>
        measuredPlan(id, source, codingOf(form, source, absmax, seed));
      return new AbsmaxScan(id, source, BLOCK, plan);
    },
    dequantizer(source: QuantizeSource, _parameters: JsonObject, side: SideArrays): Dequantize {
      return decoderOf(source, decodingOf(form.read(side, Math.ceil(elementCount(source.shape) / BLOCK))));
    },
  };
}

/** The quantizer `nf4`; parameters `rounding`, `seed`. */
export const nf4: Quantizer = normalFloat(plainScales);
/** The quantizer `nf4-dq`: nf4 with quantized scales. Not the bytes of bitsandbytes, whose scales go through a table of their own. */
export const nf4dq: Quantizer = normalFloat(doubleQuantized);
