/** Section 7 of docs/format.md: the source bytes of quantized tensors. */
import { blockValues, elementBits, product } from "./arrays.ts";
import { must } from "./bytes.ts";

const INT8 = 4;
const FLOAT16 = 20;
const BFLOAT16 = 21;
const FLOAT64 = 23;

/** A tensor as far as its quantizer needs it. */
export interface QuantizedTensor {
  readonly dtype: number;
  readonly shape: readonly number[];
  readonly quantizer: string | undefined;
  readonly parameters: SpecParameters;
  readonly arrays: readonly { readonly dtype: number }[];
}

/** Those that a reader must know. */
export interface SpecParameters {
  readonly granularity?: string;
  readonly rows?: number;
  readonly colours?: number;
}

/** What a tensor is stored as. */
interface Stored extends QuantizedTensor {
  readonly n: number;
  readonly values: Buffer;
  readonly scales: Buffer;
  readonly zeros: Buffer | undefined;
}

type FloatFormat = readonly [exponentBits: number, mantissaBits: number];

/** Floats by the code of their type. */
const formats: Readonly<Record<number, FloatFormat>> = {
  13: [2, 3],
  14: [3, 2],
  15: [4, 3],
  16: [5, 2],
  20: [5, 10],
  21: [8, 7],
  22: [8, 23],
  23: [11, 52],
};
const E2M1: FloatFormat = [2, 1];
const E4M3: FloatFormat = [4, 3];

const NF = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
].map(Math.fround);

/** The value of element i, before it is rounded to float32. */
type ValueOf = (i: number) => number;

const readers: Readonly<Record<string, (stored: Stored) => ValueOf>> = {
  fp8_e4m3: perRow,
  fp8_e5m2: perRow,
  nf4: (stored) => (i) => NF[numberAt(stored, i)]! * stored.scales.readFloatLE(4 * Math.floor(i / 64)),
  "nf4-dq": (stored) => (i) => {
    const scale = Math.floor(i / 64);
    const group = 260 * Math.floor(scale / 256);
    const step = stored.scales.readFloatLE(group);
    return NF[numberAt(stored, i)]! * Math.fround(stored.scales[group + 4 + (scale % 256)]! * step);
  },
  mxfp8: microscaled,
  mxfp6: microscaled,
  palette(stored) {
    const { n, shape, parameters } = stored;
    const { rows, colours } = parameters;
    const own = rows === undefined || shape.length < 2 ? n : (rows * n) / shape[0]!;
    return (i) => stored.scales.readFloatLE(4 * (Math.floor(i / own) * colours! + numberAt(stored, i)));
  },
  q8_0: blocks((block, j) => block.readInt8(2 + j) * half(block, 0)),
  q4_0: blocks((block, j) => (halved(block, 2, 32, j) - 8) * half(block, 0)),
  q4_1: blocks((block, j) => halved(block, 4, 32, j) * half(block, 0) + half(block, 2)),
  q4_k: blocks((block, j) => {
    const run = Math.floor(j / 64);
    const [s, t] = scalesQ4K(block.subarray(4, 16), Math.floor(j / 32));
    return halved(block, 16 + 32 * run, 64, j % 64) * half(block, 0) * s - half(block, 2) * t;
  }),
  q6_k: blocks((block, j) => {
    const [h, g, k] = [Math.floor(j / 128), Math.floor((j % 128) / 32), j % 32];
    const low = block[64 * h + 32 * (g % 2) + k]!;
    const lower = g < 2 ? low & 15 : low >> 4;
    const upper = (block[128 + 32 * h + k]! >> (2 * g)) & 3;
    return (lower + 16 * upper - 32) * half(block, 208) * block.readInt8(192 + Math.floor(j / 16));
  }),
  mxfp4: blocks((block, j) => floatOf(halved(block, 1, 32, j), E2M1) * 2 ** (block[0]! - 127)),
  nvfp4(stored) {
    const ofBlock = blocks((block, j) => {
      const run = Math.floor(j / 16);
      const bits = block[run] === 0x7f ? 0 : block[run]! & 0x7f;
      return floatOf(halved(block, 4 + 8 * run, 16, j % 16), E2M1) * floatOf(bits, E4M3);
    })(stored);
    const scale = stored.scales.readFloatLE(0);
    return (i) => ofBlock(i) * scale;
  },
};

/** The source bytes of a quantized tensor. */
export function dequantize(tensor: QuantizedTensor, values: Buffer, scales?: Buffer, zeros?: Buffer): Buffer {
  const { dtype, quantizer = "" } = tensor;
  const n = product(tensor.shape);
  const stored: Stored = { ...tensor, n, values, scales: scales ?? Buffer.alloc(0), zeros };
  if (quantizer === "prune") return values;
  const out = Buffer.alloc((n * elementBits[dtype]!) / 8);
  if (quantizer === "fp16" || quantizer === "bf16") {
    const format = formats[quantizer === "fp16" ? FLOAT16 : BFLOAT16]!;
    for (let i = 0; i < n; i++) write(out, dtype, i, floatOf(values.readUInt16LE(2 * i), format, true));
    return out;
  }
  if (quantizer === "int8") {
    writeInt8(stored, out);
    return out;
  }
  const reader = readers[quantizer];
  must(reader !== undefined, `an unknown quantizer ${quantizer}`);
  const elementAt = reader(stored);
  const limit = largest(dtype === FLOAT64 ? [8, 23] : formats[dtype]!);
  for (let i = 0; i < n; i++)
    write(out, dtype, i, Math.max(-limit, Math.min(limit, Math.fround(elementAt(i)))));
  return out;
}

/** Whether this reader knows a quantizer. */
export function knowsQuantizer(id: string): boolean {
  return ["fp16", "bf16", "prune", "int8"].includes(id) || readers[id] !== undefined;
}

function writeInt8(stored: Stored, out: Buffer): void {
  const { dtype, n, shape, parameters, values, scales, zeros } = stored;
  must(stored.arrays[0]!.dtype === INT8, "values that are no int8");
  const perChannel = shape.length > 1 && parameters.granularity !== "tensor";
  must(perChannel === (zeros === undefined), "zeros are there per tensor only");
  const scaleAt = (index: number): number =>
    dtype === FLOAT64 ? scales.readDoubleLE(8 * index) : scales.readFloatLE(4 * index);
  const channels = perChannel ? shape[0]! : 1;
  const zero = zeros?.readInt32LE(0) ?? 0;
  const largestScale = Math.max(...Array.from({ length: channels }, (_, index) => scaleAt(index)));
  const limit = largest(formats[dtype]!);
  const capped = Math.max(Math.abs(-128 - zero), Math.abs(127 - zero)) * largestScale > limit;
  for (let i = 0; i < n; i++) {
    const value = (values.readInt8(i) - zero) * scaleAt(Math.floor(i / (n / channels)));
    write(out, dtype, i, capped ? Math.max(-limit, Math.min(limit, value)) : value);
  }
}

function perRow(stored: Stored): ValueOf {
  const { n, shape, parameters, values, scales } = stored;
  const rows = parameters.granularity === "row" && shape.length > 1 ? shape[0]! : 1;
  const format = formats[stored.arrays[0]!.dtype]!;
  return (i) => floatOf(values[i]!, format) * scales.readFloatLE(4 * Math.floor(i / (n / rows)));
}

function microscaled(stored: Stored): ValueOf {
  const format = formats[stored.arrays[0]!.dtype]!;
  return (i) => floatOf(numberAt(stored, i), format) * 2 ** (stored.scales[Math.floor(i / 32)]! - 127);
}

/** Blocks of the type of `values`; `elementAt` gives element j of a block. */
function blocks(elementAt: (block: Buffer, j: number) => number): (stored: Stored) => ValueOf {
  return ({ arrays, values }) => {
    const { dtype } = arrays[0]!;
    const size = blockValues[dtype]!;
    const bytes = elementBits[dtype]! / 8;
    return (i) => elementAt(values.subarray(bytes * Math.floor(i / size)), i % size);
  };
}

/** Section 5: bits of element i of `values`, which has 8 bits or fewer. */
function numberAt({ arrays, values }: Stored, i: number): number {
  const bits = elementBits[arrays[0]!.dtype]!;
  let number = 0;
  for (let bit = 0; bit < bits; bit++) {
    const at = i * bits + bit;
    number |= ((values[at >> 3]! >> (at & 7)) & 1) << bit;
  }
  return number;
}

/** q of element j in a run of `run` elements in halved bytes. */
function halved(block: Buffer, at: number, run: number, j: number): number {
  return j < run / 2 ? block[at + j]! & 15 : block[at + j - run / 2]! >> 4;
}

function half(block: Buffer, at: number): number {
  return floatOf(block.readUInt16LE(at), formats[FLOAT16]!);
}

function scalesQ4K(b: Buffer, k: number): [s: number, t: number] {
  if (k < 4) return [b[k]! & 63, b[k + 4]! & 63];
  const both = b[k + 4]!;
  return [(both & 15) | ((b[k - 4]! >> 6) << 4), (both >> 4) | ((b[k]! >> 6) << 4)];
}

function largest([exponentBits, mantissaBits]: FloatFormat): number {
  return (2 - 2 ** -mantissaBits) * 2 ** (2 ** (exponentBits - 1) - 1);
}

function write(out: Buffer, dtype: number, i: number, value: number): void {
  if (dtype === FLOAT64) out.writeDoubleLE(value, 8 * i);
  else if (dtype === FLOAT16 || dtype === BFLOAT16)
    out.writeUInt16LE(nearest(Math.fround(value), formats[dtype]!), 2 * i);
  else out.writeFloatLE(value, 4 * i);
}

/** The value of the bits of a float of few bits; those of 16 bits have infinities and NaN. */
function floatOf(bits: number, [exponentBits, mantissaBits]: FloatFormat, isIeee = false): number {
  const sign = bits >> (exponentBits + mantissaBits) === 0 ? 1 : -1;
  const exponent = (bits >> mantissaBits) & (2 ** exponentBits - 1);
  const mantissa = bits & (2 ** mantissaBits - 1);
  const bias = 2 ** (exponentBits - 1) - 1;
  if (isIeee && exponent === 2 ** exponentBits - 1)
    return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa * 2 ** -mantissaBits) * 2 ** (exponent - bias);
}

/** The bits of the nearest 16-bit float, ties to even, by trying all of one sign. */
function nearest(value: number, format: FloatFormat): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  let low = 0;
  let high = (2 ** format[0] - 1) << format[1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (floatOf(middle, format, true) <= magnitude) low = middle;
    else high = middle;
  }
  const below = magnitude - floatOf(low, format, true);
  const above = floatOf(high, format, true) - magnitude;
  const up = below > above || (below === above && low % 2 === 1);
  return sign | (up ? high : low);
}
