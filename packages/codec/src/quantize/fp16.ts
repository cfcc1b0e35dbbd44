/** float32 and float64 as float16, as half-float.ts has it. */
import { float16ToFloat32 } from "@tensorcask/kernels";
import { toFloat16Bits } from "../tensor/float.ts";
import { halfQuantizer } from "./half-float.ts";
import type { Quantizer } from "./quantizer.ts";
import { SmallFloat } from "./small-float.ts";

/** The quantizer `fp16`. */
export const fp16: Quantizer = halfQuantizer({
  id: "fp16",
  float: new SmallFloat("float16", 0x7bff),
  overflow: 65520,
  largest: "65504",
  narrow: toFloat16Bits,
  widen: float16ToFloat32,
});
