/** The part of the suite for the WebAssembly kernels: what each computes beside what its reference does. */
import { fromHex, sha256, toHex } from "@tensorcask/codec";
import {
  type BlockCoder,
  bfloat16ToFloat32,
  ContentCutter,
  type CutSizes,
  decodeBlock,
  decodeDifference,
  encodeBlock,
  encodeDifference,
  encodedLimit,
  float16ToFloat32,
  float32Range,
  float32ToBfloat16,
  float32ToFloat16,
  joinPlanes,
  kernelsReady,
  splitPlanes,
  type WordLayout,
} from "@tensorcask/kernels";
import * as reference from "@tensorcask/kernels/reference";

/** One kernel on one input: digests of what kernel and reference give. */
export interface KernelRun {
  /** Name of the function in the reference. */
  readonly kernel: string;
  readonly what: string;
  readonly kernelDigest: string;
  readonly referenceDigest: string;
  /** Digest of what else the kernel made, for which there is no reference: the other side must make the same. */
  readonly encodedDigest?: string;
}

const CUTS: CutSizes = { minimumBytes: 65, averageBytes: 128, maximumBytes: 300 };
const CODERS: readonly BlockCoder[] = ["rans", "ladder"];
const LAYOUTS: readonly WordLayout[] = [
  { elementBytes: 1, exponentBits: 0 },
  { elementBytes: 1, exponentBits: 4 },
  { elementBytes: 2, exponentBits: 0 },
  { elementBytes: 2, exponentBits: 5 },
  { elementBytes: 2, exponentBits: 8 },
  { elementBytes: 4, exponentBits: 0 },
  { elementBytes: 4, exponentBits: 8 },
  { elementBytes: 8, exponentBits: 11 },
];
const CONVERSIONS = [
  ["float32ToFloat16", float32ToFloat16, reference.float32ToFloat16],
  ["float32ToBfloat16", float32ToBfloat16, reference.float32ToBfloat16],
  ["float16ToFloat32", float16ToFloat32, reference.float16ToFloat32],
  ["bfloat16ToFloat32", bfloat16ToFloat32, reference.bfloat16ToFloat32],
] as const;

/** Runs every kernel over each input, of a multiple of 8 bytes each. */
export async function kernels(hexes: readonly string[]): Promise<KernelRun[]> {
  await kernelsReady();
  return hexes.flatMap((hex) => {
    const input = fromHex(hex);
    return [...planes(input), ...conversions(input), ...cuts(input), ...blocks(input), ...differences(input)];
  });
}

/** The table that `cutEnds` uses, an encoder that is told what to choose, and the kernels of quantizers, which quantize.ts runs through every quantizer. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  "gearTable",
  "encodeDifference",
  "dequantizeQ4_0",
  "dequantizeQ8_0",
  "errorSums",
  "fitScales",
  "fitScalesAndMinima",
  "float32ToInt8",
  "float32ToSmallFloat",
  "int8ToFloat32",
  "quantizeQ4_0",
  "quantizeQ8_0",
]);

/** The functions of the reference that have to be among what `kernels` ran. */
export function referenceNames(): string[] {
  return Object.keys(reference).filter((name) => !ELSEWHERE.has(name));
}

function planes(input: Uint8Array): KernelRun[] {
  const runs: KernelRun[] = [];
  for (const elementBytes of [2, 4, 8] as const) {
    for (const rotate of [false, true]) {
      const what = `${input.length} bytes, elements of ${elementBytes}, rotate ${rotate}`;
      const split = splitPlanes(input, elementBytes, rotate);
      runs.push(run("splitPlanes", what, split, reference.splitPlanes(input, elementBytes, rotate)));
      const back = joinPlanes(split, elementBytes, rotate);
      runs.push(run("joinPlanes", what, back, reference.joinPlanes(split, elementBytes, rotate)));
    }
  }
  return runs;
}

function conversions(input: Uint8Array): KernelRun[] {
  const what = `${input.length} bytes`;
  const runs = CONVERSIONS.map(([name, kernel, plain]) => run(name, what, kernel(input), plain(input)));
  const range = json(float32Range(input));
  return [...runs, run("float32Range", what, range, json(reference.float32Range(input)))];
}

function cuts(input: Uint8Array): KernelRun[] {
  const ends = json(new ContentCutter(CUTS).push(input, true));
  return [run("cutEnds", `${input.length} bytes`, ends, json(reference.cutEnds(input, CUTS)))];
}

function blocks(input: Uint8Array): KernelRun[] {
  const runs: KernelRun[] = [];
  for (const layout of LAYOUTS) {
    for (const coder of CODERS) {
      const room = new Uint8Array(encodedLimit(input.length));
      const block = room.subarray(0, encodeBlock(input, layout, coder, room));
      const out = new Uint8Array(input.length);
      decodeBlock(block, out);
      const what = `${input.length} bytes by ${coder}, ${JSON.stringify(layout)}`;
      const decoded = run("decodeBlock", what, out, reference.decodeBlock(block, input.length));
      runs.push({ ...decoded, encodedDigest: toHex(sha256(block)) });
    }
  }
  return runs;
}

/** The input against itself with low bits changed. */
function differences(input: Uint8Array): KernelRun[] {
  const runs: KernelRun[] = [];
  const sibling = input.map((byte, index) => (index % 4 === 0 ? byte ^ (index & 0x1c) : byte));
  for (const layout of LAYOUTS) {
    const { elementBytes, exponentBits } = layout;
    if ((elementBytes !== 2 && elementBytes !== 4) || exponentBits === 0) continue;
    const room = new Uint8Array(encodedLimit(input.length));
    const length = encodeDifference(input, sibling, layout, room);
    const what = `${input.length} bytes, ${JSON.stringify(layout)}`;
    if (length === undefined) continue;
    const block = room.subarray(0, length);
    const out = new Uint8Array(input.length);
    decodeDifference(block, sibling, layout, out);
    const decoded = run("decodeDifference", what, out, reference.decodeDifference(block, sibling, layout));
    runs.push({ ...decoded, encodedDigest: toHex(sha256(block)) });
  }
  return runs;
}

function run(kernel: string, what: string, fromKernel: Uint8Array, fromReference: Uint8Array): KernelRun {
  return {
    kernel,
    what,
    kernelDigest: toHex(sha256(fromKernel)),
    referenceDigest: toHex(sha256(fromReference)),
  };
}

/** JSON has no infinities. */
function json(value: unknown): Uint8Array {
  const text = JSON.stringify(value, (_, part) => (typeof part === "number" ? String(part) : part));
  return new TextEncoder().encode(text);
}
