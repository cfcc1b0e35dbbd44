/** All quantizers by id. Ids are recorded with tensors: never reuse one. */
import type { JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";
import { fp16 } from "./fp16.ts";
import { int8 } from "./int8.ts";
import type { Dequantize, Quantizer, QuantizeSource, SideArrays } from "./quantizer.ts";

/** Every quantizer that this version knows. */
export const quantizers: readonly Quantizer[] = [fp16, int8];

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
