/** The part of the suite for quantizers: every one that takes a tensor's dtype, over the tensor in two ranges, and back. */
import {
  dtypeOf,
  fromHex,
  type JsonObject,
  type QuantizationError,
  type Quantizer,
  quantizers,
  toHex,
} from "@tensorcask/codec";

/** A tensor with bytes in hex. */
export interface Tensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly hex: string;
}

/** What a quantizer made of a tensor, or why it did not take it. */
export interface Quantized {
  readonly quantizer: string;
  readonly parameters: JsonObject;
  readonly tensor: string;
  readonly refused?: string;
  readonly values?: string;
  readonly scales?: string;
  readonly zeros?: string;
  readonly decoded?: string;
  readonly bitsPerWeight?: number;
  readonly error?: QuantizationError;
}

/** Parameters beside a quantizer's own defaults. */
const PARAMETERS: Record<string, readonly JsonObject[]> = {
  int8: [{ granularity: "tensor" }, { granularity: "channel" }],
};

/** Runs every quantizer, with its defaults and the parameters above, over every tensor that it accepts. */
export function quantize(tensors: readonly Tensor[]): Quantized[] {
  return quantizers.flatMap((quantizer) =>
    [{}, ...(PARAMETERS[quantizer.id] ?? [])].flatMap((written) => {
      const parameters = quantizer.parse(written);
      return tensors
        .filter((tensor) => quantizer.accepts(dtypeOf(tensor.dtype)))
        .map((tensor) => quantized(quantizer, parameters, tensor));
    }),
  );
}

function quantized(quantizer: Quantizer, parameters: JsonObject, tensor: Tensor): Quantized {
  const source = { dtype: dtypeOf(tensor.dtype), shape: tensor.shape };
  const bytes = fromHex(tensor.hex);
  const elementBytes = source.dtype.bits / 8;
  // Odd, so that the second range begins within a row.
  const first = Math.floor(bytes.length / elementBytes / 2) | 1;
  const ranges = [
    { from: 0, bytes: bytes.slice(0, first * elementBytes) },
    { from: first, bytes: bytes.slice(first * elementBytes) },
  ].filter((range) => range.bytes.length > 0);

  const id = { quantizer: quantizer.id, parameters, tensor: tensor.name };
  const scan = quantizer.begin(source, parameters);
  for (const range of ranges) scan.push(range.bytes, range.from);
  const plan = scan.finish();
  if ("refused" in plan) return { ...id, refused: plan.refused };
  const values = ranges.map((range) => plan.encode(range.bytes, range.from));
  const dequantize = quantizer.dequantizer(source, parameters, plan.side);
  const decoded = values.map((part, index) => dequantize(part, ranges[index]!.from));
  const { scales, zeros } = plan.side;
  return {
    ...id,
    values: values.map(toHex).join(""),
    ...(scales !== undefined && { scales: toHex(scales) }),
    ...(zeros !== undefined && { zeros: toHex(zeros) }),
    decoded: decoded.map(toHex).join(""),
    bitsPerWeight: plan.bitsPerWeight,
    error: plan.error(),
  };
}
