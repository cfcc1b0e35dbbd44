/** All quantizers by id. Ids are recorded with tensors: never reuse one. */
import type { JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";
import { bf16 } from "./bf16.ts";
import { mxfp4, nvfp4 } from "./fp4.ts";
import { fp8e4m3, fp8e5m2 } from "./fp8.ts";
import { fp16 } from "./fp16.ts";
import { ggmlQuantizers } from "./ggml.ts";
import { int8 } from "./int8.ts";
import { mxfp6, mxfp8 } from "./microscaling.ts";
import { nf4, nf4dq } from "./nf4.ts";
import { palette } from "./palette.ts";
import { prune } from "./prune.ts";
import type { Dequantize, Quantizer, QuantizeSource, SideArrays } from "./quantizer.ts";

/** Every quantizer that this version knows. */
export const quantizers: readonly Quantizer[] = [
  fp16,
  bf16,
  fp8e4m3,
  fp8e5m2,
  int8,
  ...ggmlQuantizers,
  nf4,
  nf4dq,
  mxfp8,
  mxfp6,
  mxfp4,
  nvfp4,
  prune,
  palette,
];

const byId = new Map<string, Quantizer>(quantizers.map((quantizer) => [quantizer.id, quantizer]));

/** The quantizer of this id; undefined when there is none. */
export function findQuantizer(id: string): Quantizer | undefined {
  return byId.get(id);
}

/** The quantizer of this id. Throws `UsageError` naming `field` when there is none. */
export function quantizerOf(id: string, field = "quantizer"): Quantizer {
  const found = byId.get(id);
  if (found === undefined) {
    throw new UsageError(
      field,
      `unknown quantizer ${JSON.stringify(id)}; known: ${[...byId.keys()].join(", ")}`,
    );
  }
  return found;
}

/**
 * A decoder for a stored tensor: `values` bytes of a run of elements in, bytes of the original dtype out.
 *
 * @param id quantizer as recorded with the tensor, and so are `parameters`
 * @param source original dtype and shape
 * @param side whole `scales` and `zeros`, as far as the tensor has them
 * @throws UsageError when this version does not know the quantizer, DamageError when `side` does not fit the shape
 */
export function dequantizer(
  id: string,
  parameters: JsonObject,
  source: QuantizeSource,
  side: SideArrays,
): Dequantize {
  return quantizerOf(id).dequantizer(source, parameters, side);
}
