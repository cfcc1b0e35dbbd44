/**
 * float32 and float64 as bfloat16, as half-float.ts has it: the range of float32 with 8 bits of precision. Only the uppermost 1/512 of the largest
 * float32 overflows.
 */
import { bfloat16ToFloat32, float32ToBfloat16 } from "@tensorcask/kernels";
import { bytesOf } from "../tensor/typed-array.ts";
import { halfQuantizer } from "./half-float.ts";
import type { Quantizer } from "./quantizer.ts";
import { roundedToOdd, SmallFloat } from "./small-float.ts";

function toBfloat16Bits(elements: Float32Array | Float64Array): Uint16Array {
  const bytes = float32ToBfloat16(
    bytesOf(elements instanceof Float64Array ? roundedToOdd(elements) : elements),
  );
  return new Uint16Array(bytes.buffer, bytes.byteOffset, elements.length);
}

/** The quantizer `bf16`. */
export const bf16: Quantizer = halfQuantizer({
  id: "bf16",
  float: new SmallFloat("bfloat16", 0x7f7f),
  overflow: (2 - 2 ** -8) * 2 ** 127,
  largest: "3.3895e+38",
  narrow: toBfloat16Bits,
  widen: bfloat16ToFloat32,
});
