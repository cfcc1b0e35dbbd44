/**
 * Floats as 8-bit floats with a float32 scale per tensor or per row (index of axis 0): decoded value = float8 x scale. The scale puts the largest
 * magnitude on the largest float8 (e4m3: 448, e5m2: 57344; OCP 8-bit Floating Point Specification 1.0), so nothing overflows.
 */
import type { JsonObject } from "../bytes/json.ts";
import { dtypeOf } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import { bytesOf } from "../tensor/typed-array.ts";
import { AbsmaxScan, largestOf } from "./absmax-scan.ts";
import { decoderOf, measuredPlan, sideArray, type ValueCoding, type ValueDecoding } from "./measured-plan.ts";
import { choiceParameter, refuseUnknownParameters } from "./parameters.ts";
import type {
  Dequantize,
  QuantizedArray,
  Quantizer,
  QuantizeScan,
  QuantizeSource,
  SideArrays,
} from "./quantizer.ts";
import { isQuantizable } from "./real-elements.ts";
import { parseRounding, ROUNDING_PARAMETERS, stochasticSeed } from "./rounding.ts";
import { SmallFloat } from "./small-float.ts";

const float32 = dtypeOf("float32");
const SMALLEST_FLOAT32 = 2 ** -149;

/** Rows, or the tensor as one of them. */
interface Layout {
  readonly rows: number;
  readonly rowElements: number;
  readonly scalesShape: readonly number[];
}

function layoutOf({ shape }: QuantizeSource, { granularity }: JsonObject): Layout {
  const elements = elementCount(shape);
  if (granularity !== "row" || shape.length < 2) return { rows: 1, rowElements: elements, scalesShape: [] };
  return {
    rows: shape[0]!,
    rowElements: shape[0] === 0 ? 0 : elements / shape[0]!,
    scalesShape: [shape[0]!],
  };
}

function decodingOf(
  float: SmallFloat,
  table: Float32Array,
  { rowElements }: Layout,
  scales: Float32Array,
): ValueDecoding {
  return {
    values: float.dtype,
    reach: table[float.largestBits]! * largestOf(scales),
    decode(values, firstElement, out) {
      for (let from = 0; from < out.length; ) {
        const row = Math.floor((firstElement + from) / rowElements);
        const to = Math.min(out.length, (row + 1) * rowElements - firstElement);
        const scale = scales[row]!;
        for (let index = from; index < to; index++) out[index] = table[values[index]!]! * scale;
        from = to;
      }
    },
  };
}

function codingOf(
  float: SmallFloat,
  table: Float32Array,
  source: QuantizeSource,
  layout: Layout,
  absmax: Float32Array,
  seed: number | undefined,
): ValueCoding {
  const largest = table[float.largestBits]!;
  const scales = absmax.map((magnitude) =>
    magnitude === 0 ? 1 : Math.max(magnitude / largest, SMALLEST_FLOAT32),
  );
  const arrays: QuantizedArray[] = [
    { role: "values", dtype: float.dtype, shape: source.shape },
    { role: "scales", dtype: float32, shape: layout.scalesShape },
  ];
  const { rowElements } = layout;
  let scaled = new Float32Array(0);
  return {
    ...decodingOf(float, table, layout, scales),
    arrays,
    side: { scales: bytesOf(scales) },
    encode(elements, firstElement) {
      const out = new Uint8Array(elements.length);
      if (scaled.length < elements.length) scaled = new Float32Array(elements.length);
      for (let from = 0; from < elements.length; ) {
        const row = Math.floor((firstElement + from) / rowElements);
        const to = Math.min(elements.length, (row + 1) * rowElements - firstElement);
        const scale = scales[row]!;
        for (let index = from; index < to; index++) scaled[index] = elements[index]! / scale;
        from = to;
      }
      if (seed === undefined) float.encode(scaled, out.length, out);
      else float.encodeStochastic(scaled, out.length, out, seed, firstElement);
      return out;
    },
  };
}

function fp8(id: string, float: SmallFloat): Quantizer {
  let values: Float32Array | undefined;
  const table = (): Float32Array => {
    values ??= float.values();
    return values;
  };
  return {
    id,
    parse(parameters: JsonObject): JsonObject {
      refuseUnknownParameters(parameters, ["granularity", ...ROUNDING_PARAMETERS], id);
      const granularity = choiceParameter(parameters, "granularity", id, ["tensor", "row"]);
      return { granularity, ...parseRounding(parameters, id) };
    },
    accepts: isQuantizable,
    bitsPerWeight: () => 8,
    begin(source: QuantizeSource, parameters: JsonObject): QuantizeScan {
      const layout = layoutOf(source, parameters);
      const seed = stochasticSeed(parameters);
      return new AbsmaxScan(id, source, layout.rowElements, (absmax) =>
        measuredPlan(id, source, codingOf(float, table(), source, layout, absmax, seed)),
      );
    },
    dequantizer(source: QuantizeSource, parameters: JsonObject, side: SideArrays): Dequantize {
      const layout = layoutOf(source, parameters);
      const scales = sideArray(id, side, "scales", float32, layout.rows) as Float32Array;
      return decoderOf(source, decodingOf(float, table(), layout, scales));
    },
  };
}

/** The quantizer `fp8_e4m3`; parameters `granularity` (`tensor` or `row`), `rounding`, `seed`. */
export const fp8e4m3: Quantizer = fp8("fp8_e4m3", new SmallFloat("float8_e4m3fn", 0x7e));
/** The quantizer `fp8_e5m2`; parameters as those of `fp8_e4m3`. */
export const fp8e5m2: Quantizer = fp8("fp8_e5m2", new SmallFloat("float8_e5m2", 0x7b));
