/**
 * The microscaling formats of 8 and 6 bits (OCP Microscaling Formats 1.0): blocks of 32 neighbours in row-major order share a power of two. Elements are
 * `values`, in the tensor's shape; the exponents are `scales`, e8m0, one per block. The exponent is floor(log2(largest magnitude)) less that of the
 * largest element (section 6.3); what is beyond the largest element then becomes that. A block of zeros has the smallest exponent.
 */
import type { JsonObject } from "../bytes/json.ts";
import { type DTypeName, dtypeOf } from "../tensor/dtype.ts";
import { packElements, unpackElements } from "../tensor/packed.ts";
import { elementCount } from "../tensor/shape.ts";
import { AbsmaxScan } from "./absmax-scan.ts";
import {
  decoderOf,
  groupedShape,
  measuredPlan,
  sideArray,
  type ValueCoding,
  type ValueDecoding,
} from "./measured-plan.ts";
import { choiceParameter, refuseUnknownParameters } from "./parameters.ts";
import type {
  Dequantize,
  QuantizePlan,
  QuantizeRefusal,
  Quantizer,
  QuantizeScan,
  QuantizeSource,
  SideArrays,
} from "./quantizer.ts";
import { isQuantizable } from "./real-elements.ts";
import { parseRounding, ROUNDING_PARAMETERS, stochasticSeed } from "./rounding.ts";
import { SmallFloat } from "./small-float.ts";

const BLOCK = 32;
const SCALE_BITS = 8;
const e8m0 = dtypeOf("float8_e8m0fnu");

/** Bits of the e8m0 scale of a block: the exponent bits of its largest magnitude less the largest exponent of an element. */
export function sharedExponent(largest: number, elementExponent: number): number {
  exponentOf.value[0] = largest;
  return Math.max(0, (exponentOf.word[0]! >>> 23) - elementExponent);
}

const exponentOf = { value: new Float32Array(1), word: new Uint32Array(0) };
exponentOf.word = new Uint32Array(exponentOf.value.buffer);

/** An element format: its floats and, by their bits, what they are. */
interface ElementFormat {
  readonly float: SmallFloat;
  readonly table: Float32Array;
}

function decodingOf({ float, table }: ElementFormat, exponents: Uint8Array): ValueDecoding {
  const { bits } = float.dtype;
  return {
    values: float.dtype,
    // A shared exponent is so that no element is beyond the exponent of the largest float32; all formats end below 1.875 x 2^127.
    reach: 1.875 * 2 ** 127,
    decode(values, firstElement, out) {
      const codes = bits === 8 ? values : unpackElements(values, bits, 0, out.length);
      for (let from = 0; from < out.length; ) {
        const block = Math.floor((firstElement + from) / BLOCK);
        const to = Math.min(out.length, (block + 1) * BLOCK - firstElement);
        const scale = 2 ** (exponents[block]! - 127);
        for (; from < to; from++) out[from] = table[codes[from]!]! * scale;
      }
    },
  };
}

function codingOf(
  format: ElementFormat,
  source: QuantizeSource,
  absmax: Float32Array,
  seed: number | undefined,
): ValueCoding {
  const { float } = format;
  const exponents = new Uint8Array(absmax.length);
  for (let block = 0; block < absmax.length; block++) {
    exponents[block] = sharedExponent(absmax[block]!, float.largestExponent);
  }
  return {
    ...decodingOf(format, exponents),
    arrays: [
      { role: "values", dtype: float.dtype, shape: source.shape },
      { role: "scales", dtype: e8m0, shape: groupedShape(source.shape, BLOCK) },
    ],
    side: { scales: exponents },
    encode(elements, firstElement) {
      const scaled = new Float32Array(elements.length);
      for (let from = 0; from < elements.length; ) {
        const block = Math.floor((firstElement + from) / BLOCK);
        const to = Math.min(elements.length, (block + 1) * BLOCK - firstElement);
        const inverse = 2 ** (127 - exponents[block]!);
        for (; from < to; from++) scaled[from] = elements[from]! * inverse;
      }
      const codes = new Uint8Array(elements.length);
      if (seed === undefined) float.encode(scaled, codes.length, codes);
      else float.encodeStochastic(scaled, codes.length, codes, seed, firstElement);
      return float.dtype.bits === 8 ? codes : packElements(codes, float.dtype.bits);
    },
  };
}

type Formats = { readonly [name: string]: readonly [DTypeName, number] };

/** @param formats element formats by name, with the bits of their largest number; the first one is the default */
function microscaling(id: string, formats: Formats): Quantizer {
  const names = Object.keys(formats) as [string, ...string[]];
  const made = new Map<string, ElementFormat>();
  const formatOf = ({ format }: JsonObject): ElementFormat => {
    const name = format as string;
    let found = made.get(name);
    if (found === undefined) {
      const float = new SmallFloat(...formats[name]!);
      found = { float, table: float.values() };
      made.set(name, found);
    }
    return found;
  };
  const elementBits = dtypeOf(formats[names[0]]![0]).bits;
  return {
    id,
    parse(parameters: JsonObject): JsonObject {
      refuseUnknownParameters(parameters, ["format", ...ROUNDING_PARAMETERS], id);
      return { format: choiceParameter(parameters, "format", id, names), ...parseRounding(parameters, id) };
    },
    accepts: isQuantizable,
    bitsPerWeight: () => elementBits + SCALE_BITS / BLOCK,
    begin(source: QuantizeSource, parameters: JsonObject): QuantizeScan {
      const format = formatOf(parameters);
      const seed = stochasticSeed(parameters);
      const plan = (absmax: Float32Array): QuantizePlan | QuantizeRefusal =>
        measuredPlan(id, source, codingOf(format, source, absmax, seed));
      return new AbsmaxScan(id, source, BLOCK, plan);
    },
    dequantizer(source: QuantizeSource, parameters: JsonObject, side: SideArrays): Dequantize {
      const blocks = Math.ceil(elementCount(source.shape) / BLOCK);
      const exponents = sideArray(id, side, "scales", e8m0, blocks) as Uint8Array;
      return decoderOf(source, decodingOf(formatOf(parameters), exponents));
    },
  };
}

/** The quantizer `mxfp8`; parameters `format` (`e4m3` or `e5m2`), `rounding`, `seed`. */
export const mxfp8: Quantizer = microscaling("mxfp8", {
  e4m3: ["float8_e4m3fn", 0x7e],
  e5m2: ["float8_e5m2", 0x7b],
});
/** The quantizer `mxfp6`; parameters `format` (`e2m3` or `e3m2`), `rounding`, `seed`. */
export const mxfp6: Quantizer = microscaling("mxfp6", {
  e2m3: ["float6_e2m3fn", 0x1f],
  e3m2: ["float6_e3m2fn", 0x1f],
});
