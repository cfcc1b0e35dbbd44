/**
 * Every element becomes the number of the nearest of 16, 64 or 256 centres, which k-means finds: one palette for the tensor, or one for each
 * `rows` indices of axis 0. `values` are the numbers (uint4 of 16, else uint8), in the tensor's shape; `scales` hold the centres, float32,
 * `[palettes, colours]`, ascending. Codecs pack numbers below 64 to 6 bits or less.
 *
 * Centres are found for a sample where a palette has more elements than that: every n-th one, n odd, so that it depends on the tensor alone.
 */
import type { JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";
import { type DType, dtypeOf } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import { bytesOf } from "../tensor/typed-array.ts";
import { AbsmaxScan, largestOf } from "./absmax-scan.ts";
import { centresOf } from "./k-means.ts";
import {
  decoderOf,
  float32Elements,
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
  QuantizePlan,
  QuantizeRefusal,
  Quantizer,
  QuantizeScan,
  QuantizeSource,
  SideArrays,
} from "./quantizer.ts";
import { isQuantizable, realElements } from "./real-elements.ts";

const COLOURS = [16, 64, 256];
const DEFAULT_COLOURS = 16;
/** Elements that centres are found for, over all palettes, ... */
const SAMPLE = 2 ** 20;
/** ... and for each palette at least: 16 for each of 256 centres. */
const LEAST_SAMPLE = 4096;
/** Bounds the memory of samples to 64 MiB. */
const MAX_PALETTES = 4096;
const uint4 = dtypeOf("uint4");
const uint8 = dtypeOf("uint8");
const float32 = dtypeOf("float32");

interface Layout {
  readonly colours: number;
  readonly palettes: number;
  /** Elements of every palette but the last one, which may have fewer. */
  readonly paletteElements: number;
}

function layoutOf({ shape }: QuantizeSource, parameters: JsonObject): Layout {
  const colours = parameters.colours as number;
  const rows = parameters.rows as number | undefined;
  const elements = elementCount(shape);
  if (rows === undefined || shape.length < 2 || elements === 0)
    return { colours, palettes: 1, paletteElements: elements };
  return { colours, palettes: Math.ceil(shape[0]! / rows), paletteElements: rows * (elements / shape[0]!) };
}

/** Collects the sample; what is not finite is looked for by the scan inside. */
class PaletteScan implements QuantizeScan {
  readonly #source: QuantizeSource;
  readonly #layout: Layout;
  readonly #stride: number;
  readonly #perPalette: number;
  readonly #sample: Float32Array<ArrayBuffer>;
  readonly #finite: AbsmaxScan;

  constructor(source: QuantizeSource, layout: Layout) {
    this.#source = source;
    this.#layout = layout;
    const { palettes, paletteElements } = layout;
    const most = Math.max(LEAST_SAMPLE, Math.floor(SAMPLE / palettes));
    this.#stride = Math.ceil(paletteElements / most) | 1;
    this.#perPalette = Math.ceil(paletteElements / this.#stride);
    const isTooMany = palettes > MAX_PALETTES;
    this.#sample = new Float32Array(isTooMany ? 0 : palettes * this.#perPalette);
    this.#finite = new AbsmaxScan("palette", source, paletteElements, () =>
      isTooMany
        ? { refused: `${palettes} palettes are more than ${MAX_PALETTES}; take more rows for each` }
        : this.#plan(),
    );
  }

  push(bytes: Uint8Array, firstElement: number): void {
    this.#finite.push(bytes, firstElement);
    if (this.#sample.length === 0) return;
    const elements = float32Elements(realElements(this.#source.dtype, bytes));
    const { paletteElements } = this.#layout;
    const end = firstElement + elements.length;
    for (let at = firstElement; at < end; ) {
      const palette = Math.floor(at / paletteElements);
      const first = palette * paletteElements;
      const stop = Math.min(end, first + paletteElements);
      let slot = Math.ceil((at - first) / this.#stride);
      for (at = first + slot * this.#stride; at < stop; at += this.#stride, slot++) {
        this.#sample[palette * this.#perPalette + slot] = elements[at - firstElement]!;
      }
      at = stop;
    }
  }

  finish(): QuantizePlan | QuantizeRefusal {
    return this.#finite.finish();
  }

  #plan(): QuantizePlan | QuantizeRefusal {
    const { colours, palettes, paletteElements } = this.#layout;
    const centres = new Float32Array(palettes * colours);
    const elements = elementCount(this.#source.shape);
    for (let palette = 0; palette < palettes; palette++) {
      const held = Math.min(paletteElements, elements - palette * paletteElements);
      const from = palette * this.#perPalette;
      const sorted = this.#sample.subarray(from, from + Math.ceil(held / this.#stride)).sort();
      const found = centresOf(sorted, colours);
      centres.set(found, palette * colours);
      // A palette that is not full repeats its last centre, which no element is ever given to.
      centres.fill(found.at(-1) ?? 0, palette * colours + found.length, (palette + 1) * colours);
    }
    return measuredPlan("palette", this.#source, codingOf(this.#source, this.#layout, centres));
  }
}

function decodingOf({ colours, paletteElements }: Layout, centres: Float32Array): ValueDecoding {
  const packed = colours === 16;
  return {
    values: packed ? uint4 : uint8,
    reach: largestOf(centres.map(Math.abs)),
    decode(values, firstElement, out) {
      for (let from = 0; from < out.length; ) {
        const palette = Math.floor((firstElement + from) / paletteElements);
        const to = Math.min(out.length, (palette + 1) * paletteElements - firstElement);
        const own = centres.subarray(palette * colours, (palette + 1) * colours);
        if (packed) {
          for (; from < to; from++) out[from] = own[(values[from >> 1]! >> ((from & 1) << 2)) & 15]!;
        } else {
          for (; from < to; from++) out[from] = own[values[from]! % colours]!;
        }
      }
    },
  };
}

function codingOf(source: QuantizeSource, layout: Layout, centres: Float32Array): ValueCoding {
  const { colours, palettes, paletteElements } = layout;
  const decoding = decodingOf(layout, centres);
  let current = -1;
  let nearest: NearestValue | undefined;
  return {
    ...decoding,
    arrays: [
      { role: "values", dtype: decoding.values, shape: source.shape },
      { role: "scales", dtype: float32, shape: [palettes, colours] },
    ],
    side: { scales: bytesOf(centres) },
    bitsPerWeight: Math.log2(colours) + (32 * colours * palettes) / elementCount(source.shape),
    encode(elements, firstElement) {
      const numbers = new Uint8Array(elements.length);
      for (let from = 0; from < elements.length; ) {
        const palette = Math.floor((firstElement + from) / paletteElements);
        const to = Math.min(elements.length, (palette + 1) * paletteElements - firstElement);
        if (nearest === undefined || current !== palette) {
          nearest = new NearestValue(centres.subarray(palette * colours, (palette + 1) * colours));
          current = palette;
        }
        nearest.encode(elements, from, to, 1, numbers);
        from = to;
      }
      return colours === 16 ? packPairs(numbers) : numbers;
    },
  };
}

/** The quantizer `palette`; parameters `colours` (16, 64 or 256) and `rows` (how many indices of axis 0 share a palette; all by default). */
export const palette: Quantizer = {
  id: "palette",
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["colours", "rows"], "palette");
    const { colours = DEFAULT_COLOURS, rows } = parameters;
    if (typeof colours !== "number" || !COLOURS.includes(colours)) {
      throw new UsageError(
        "colours",
        `palette: colours is ${JSON.stringify(colours)}; it must be 16, 64 or 256`,
      );
    }
    if (rows === undefined) return { colours };
    if (typeof rows === "number" && Number.isSafeInteger(rows) && rows > 0) return { colours, rows };
    throw new UsageError("rows", `palette: rows is ${JSON.stringify(rows)}; it must be a positive integer`);
  },
  accepts: (dtype: DType) => isQuantizable(dtype),
  bitsPerWeight: ({ colours }: JsonObject) => Math.log2(colours as number),
  begin(source: QuantizeSource, parameters: JsonObject): QuantizeScan {
    return new PaletteScan(source, layoutOf(source, parameters));
  },
  dequantizer(source: QuantizeSource, parameters: JsonObject, side: SideArrays): Dequantize {
    const layout = layoutOf(source, parameters);
    const centres = sideArray(
      "palette",
      side,
      "scales",
      float32,
      layout.palettes * layout.colours,
    ) as Float32Array;
    return decoderOf(source, decodingOf(layout, centres));
  },
};
