/**
 * Ratio and speed of the entropy coders, one thread, beside zstd level 3 in the same run: `node bench.ts [file or folder]...`.
 * Without arguments 32 MiB of seeded normal weights in several types; each argument adds the safetensors files found there.
 * `node bench.ts siblings` measures differences to siblings instead (see bench-siblings.ts).
 * Every block is checked for a round trip before anything is timed. Speeds are the best of several passes over all blocks, in
 * processor time, through the public functions, copies into and out of the kernels' memory included, with reused output buffers.
 */
import { zstdDecompressSync } from "node:zlib";

import {
  BFLOAT16,
  best,
  blocksOf,
  FLOAT8,
  FLOAT16,
  FLOAT32,
  fileInputs,
  type Input,
  speed,
  zstd3,
} from "./bench-support.ts";
import {
  type BlockCoder,
  decodeBlock,
  encodeBlock,
  encodedLimit,
  float32ToBfloat16,
  float32ToFloat16,
  kernelsReady,
} from "./src/index.ts";

/** mulberry32. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** `tensors` tensors of `elements` normal weights; sigma of each is drawn from 0.01 to 0.05. */
function normalTensors(tensors: number, elements: number): Float32Array[] {
  const random = randomNumbers(12345);
  return Array.from({ length: tensors }, () => {
    const sigma = Math.exp(Math.log(0.01) + random() * (Math.log(0.05) - Math.log(0.01)));
    const values = new Float32Array(elements);
    for (let i = 0; i < elements; i += 2) {
      const radius = sigma * Math.sqrt(-2 * Math.log(random() + 1e-12));
      const angle = 2 * Math.PI * random();
      values[i] = radius * Math.cos(angle);
      values[i + 1] = radius * Math.sin(angle);
    }
    return values;
  });
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** float8_e4m3fn with a scale per tensor that maps the largest magnitude to 448, rounded to nearest even. */
function toFloat8(values: Float32Array): Uint8Array {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  const scale = 448 / largest;
  const out = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const scaled = Math.abs(values[i]!) * scale;
    const exponent = Math.max(-6, Math.floor(Math.log2(scaled)));
    const unit = 2 ** (exponent - 3);
    const steps = scaled / unit;
    let rounded = Math.round(steps);
    if (rounded - steps === 0.5 && rounded % 2 === 1) rounded--;
    const code = (exponent + 6) * 8 + rounded; // a carry out of the mantissa is the next exponent
    out[i] = Math.min(code, 126) | (values[i]! < 0 ? 128 : 0);
  }
  return out;
}

function seededInputs(): Input[] {
  const tensors = normalTensors(64, 2 ** 18);
  const first = tensors.slice(0, 32);
  const bfloat16 = tensors.map((tensor) => float32ToBfloat16(bytesOf(tensor)));
  const widened = first.map((tensor) => {
    const words = new Uint32Array(tensor.buffer.slice(0));
    for (let i = 0; i < words.length; i++) words[i]! &= 0xffff0000;
    return new Uint8Array(words.buffer);
  });
  return [
    { name: "bf16 normals", layout: BFLOAT16, tensors: bfloat16 },
    { name: "fp32 normals", layout: FLOAT32, tensors: first.map(bytesOf) },
    { name: "fp32 holding bf16", layout: FLOAT32, tensors: widened },
    {
      name: "fp16 normals",
      layout: FLOAT16,
      tensors: tensors.map((tensor) => float32ToFloat16(bytesOf(tensor))),
    },
    { name: "fp8 e4m3 normals", layout: FLOAT8, tensors: first.map(toFloat8) },
    { name: "random bytes", layout: BFLOAT16, tensors: [randomBytes(8 * 2 ** 20)] },
  ];
}

function randomBytes(bytes: number): Uint8Array {
  const random = randomNumbers(99);
  return Uint8Array.from({ length: bytes }, () => random() * 256);
}

function measure(input: Input): void {
  const blocks = input.tensors.flatMap((tensor) => blocksOf(tensor, input.layout));
  const bytes = blocks.reduce((sum, block) => sum + block.length, 0);
  const largest = Math.max(...blocks.map((block) => block.length));
  const whole = Buffer.concat(blocks);
  let zstd = zstd3(whole);
  const zstdEncode = best(() => {
    zstd = zstd3(whole);
  });
  const zstdDecode = best(() => void zstdDecompressSync(zstd, { maxOutputLength: whole.length }));
  report(input.name, "zstd 3", bytes, zstd.length, zstdEncode, zstdDecode);
  for (const coder of ["rans", "ladder"] as const) measureCoder(input, coder, blocks, bytes, largest);
}

function measureCoder(
  input: Input,
  coder: BlockCoder,
  blocks: Uint8Array[],
  bytes: number,
  largest: number,
): void {
  const scratch = new Uint8Array(encodedLimit(largest));
  const encoded = blocks.map((block) => scratch.slice(0, encodeBlock(block, input.layout, coder, scratch)));
  const back = new Uint8Array(largest);
  blocks.forEach((block, i) => {
    const out = back.subarray(0, block.length);
    decodeBlock(encoded[i]!, out);
    if (Buffer.compare(out, block) !== 0) throw new Error(`${input.name}: block ${i} does not round trip`);
  });
  const total = encoded.reduce((sum, block) => sum + block.length, 0);
  const encode = best(() => {
    for (const block of blocks) encodeBlock(block, input.layout, coder, scratch);
  });
  const decode = best(() => {
    blocks.forEach((block, i) => {
      decodeBlock(encoded[i]!, back.subarray(0, block.length));
    });
  });
  report("", coder, bytes, total, encode, decode);
}

function report(
  name: string,
  coder: string,
  bytes: number,
  coded: number,
  encodeMs: number,
  decodeMs: number,
): void {
  console.log(
    `${name.padEnd(40)} ${coder.padEnd(8)} ${(bytes / coded).toFixed(4).padStart(9)} ${speed(bytes, encodeMs)} ${speed(bytes, decodeMs)}`,
  );
}

await kernelsReady();
const paths = process.argv.slice(2);
if (paths[0] === "siblings") {
  const { measureSiblings } = await import("./bench-siblings.ts");
  measureSiblings();
} else {
  console.log(`${"input".padEnd(40)} ${"coder".padEnd(8)}     ratio   MB/s in, out`);
  for (const input of paths.length > 0 ? paths.flatMap(fileInputs) : seededInputs()) measure(input);
}
