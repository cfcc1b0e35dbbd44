/** What both sides are given: seeded samples of every dtype and texture, and how they are coded. Made under Node, once. */
import { builtinPresets, codecs, type DType, dtypes, type Json, parsePolicy, toHex } from "@tensorcask/codec";
import { chunkKinds } from "../../packages/codec/test/codec-kinds.ts";
import { noise, normals, random, sampleInputs, toBfloat16 } from "../../packages/codec/test/codec-samples.ts";
import type { Tensor } from "./quantize.ts";
import type { Job, Sample } from "./suite.ts";

/** Samples of a dtype are about as long, in elements and bytes that are both whole. */
const DTYPE_BYTES = 4096;
/** Textures are cut to this, an odd length. */
const TEXTURE_BYTES = 6001;
/** What is taken of a chunk of each kind, for policies and for the slowest of them. */
const POLICY_BYTES = 32_768;
const ARCHIVE_BYTES = 8192;

/** Samples, and jobs that say how they are coded. */
export interface Corpus {
  readonly samples: readonly Sample[];
  readonly jobs: readonly Job[];
}

/** Every codec alone, over a sample of every dtype and of every texture that a codec may trip over. */
export function singleCodecs(): Corpus {
  const samples = [
    ...dtypes.map((dtype) => sample(`${dtype.name} elements`, dtype.name, elementsOf(dtype))),
    ...sampleInputs().map(([name, bytes]) =>
      sample(name, name.includes("float32") ? "float32" : "uint8", bytes.subarray(0, TEXTURE_BYTES)),
    ),
  ];
  return {
    samples,
    jobs: crossed(
      samples,
      codecIds().map((id) => ({ codecs: [id] })),
    ),
  };
}

/** Every pair of codecs that may follow each other, and chains of more, over small samples. */
export function chains(): Corpus {
  const samples = [
    sample("bfloat16", "bfloat16", toBfloat16(normals(700, 0.02, 51))),
    sample("int32", "int32", bytesOf(Int32Array.from({ length: 300 }, (_, index) => index * index - 5000))),
    sample("odd length", "float32", bytesOf(normals(200, 1, 52)).subarray(1, 722)),
  ];
  const pairs = codecIds().flatMap((first) =>
    codecIds()
      .map((second) => [first, second])
      .filter(mayFollow),
  );
  const longer = [
    ["delta", "bitshuffle", "zstd"],
    ["delta", "bitshuffle", "planes", "bpe", "lz4", "gzip"],
    ["bitshuffle", "entropy", "rle", "hierarchical", "context"],
  ];
  return {
    samples,
    jobs: crossed(
      samples,
      [...pairs, ...longer].map((ids) => ({ codecs: ids })),
    ),
  };
}

/** Every preset's coding, and codecs with parameters that change what is written, over every kind of chunk that `auto` tells apart. */
export function policies(): Corpus {
  const samples = chunkKinds().map(({ name, dtype, bytes }) =>
    sample(name, dtype, bytes.slice(0, POLICY_BYTES)),
  );
  return {
    samples,
    jobs: crossed(
      samples,
      POLICIES.map((policy) => ({ policy })),
    ),
  };
}

/** The slowest preset, on less. */
export function archives(): Corpus {
  const samples = chunkKinds().map(({ name, dtype, bytes }) =>
    sample(name, dtype, bytes.slice(0, ARCHIVE_BYTES)),
  );
  return { samples, jobs: crossed(samples, [{ policy: { auto: "archive" } }]) };
}

const ARCHIVE = JSON.stringify({ auto: "archive" });

const POLICIES: readonly Json[] = [
  ...new Map(
    builtinPresets
      .map(({ codec }) => ("auto" in codec ? { auto: codec.auto } : { chain: codec.chain }))
      .map((policy) => [JSON.stringify(policy), policy as Json]),
  ),
]
  .filter(([text]) => text !== ARCHIVE)
  .map(([, policy]) => policy)
  .concat([
    { id: "gzip", level: 1 },
    { id: "zstd", level: 1 },
    { id: "zstd", level: 22 },
    { id: "entropy", wordBytes: 4, exponentBits: 8 },
    { id: "ladder", wordBytes: 2, exponentBits: 0 },
    { id: "sparse", elementBytes: 4, skip: 1 },
    { id: "cluster", wordBytes: 4, skip: 2 },
    [{ id: "bpe", ids: "whole" }, "gzip"],
  ]);

/** What is damaged once it is coded: floats that the coders of floats take, and text that the others do. */
export function damagedSamples(): Sample[] {
  const text = "a chunk is a run of elements, a frame is a chunk, a pack is a file of many frames. ".repeat(
    9,
  );
  return [
    sample("bfloat16", "bfloat16", toBfloat16(normals(600, 0.02, 53))),
    sample("text", "uint8", new TextEncoder().encode(text)),
  ];
}

/** Tensors of every float type: weights, what rounding trips over, and what must be refused. */
export function tensors(): Tensor[] {
  const special = [0, -0, 65504, -65504, 2 ** -24, 2 ** -25, 1.5 * 2 ** -25, 1 + 2 ** -11, 1 + 3 * 2 ** -11];
  const cases: [string, readonly number[], readonly number[]][] = [
    ["weights", [24, 33], [...normals(24 * 33, 0.02, 61)]],
    ["a row of wide weights", [257], [...normals(257, 30, 62)]],
    ["10 to 20", [11], Array.from({ length: 11 }, (_, index) => 10 + index)],
    ["a range of 255", [2, 128], Array.from({ length: 256 }, (_, index) => index - 100)],
    ["a constant", [7, 3], new Array<number>(21).fill(0.5)],
    ["zeros", [64], new Array<number>(64).fill(0)],
    ["ties and subnormals", [3, 3], special],
    ["too large for float16", [2], [1, 65520]],
    ["not numbers", [4], [1, Number.NaN, Number.POSITIVE_INFINITY, -2]],
    ["nothing", [0, 4], []],
  ];
  return cases.flatMap(([name, shape, values]) => {
    const words = Uint32Array.from(new Uint32Array(Float32Array.from(values).buffer));
    const halves = Uint16Array.from(words, (word) => word >>> 16);
    return [
      { name, dtype: "float32", shape, hex: toHex(bytesOf(Float32Array.from(values))) },
      { name, dtype: "float64", shape, hex: toHex(bytesOf(Float64Array.from(values))) },
      { name, dtype: "float16", shape, hex: toHex(bytesOf(Float16Array.from(values))) },
      { name, dtype: "bfloat16", shape, hex: toHex(bytesOf(halves)) },
    ];
  });
}

/** Bytes that are hashed and cut: of hostile lengths, and long enough to be cut. */
export function hashedBytes(): string[] {
  const lengths = [0, 1, 3, 55, 56, 63, 64, 65, 119, 120, 127, 128, 1000, 65_537, 500_003];
  return lengths.map((length) => toHex(noise(length, length + 1)));
}

/** Inputs of kernels, of a multiple of 8 bytes: noise with every kind of NaN in it, weights, few values, none. */
export function kernelInputs(): string[] {
  const inputs = [
    new Uint8Array(0),
    noise(8, 71),
    noise(4104, 72),
    bytesOf(normals(2050, 0.02, 73)),
    toBfloat16(normals(4100, 0.02, 74)),
    new Uint8Array(2000).fill(7),
    noise(4096, 75).map((byte) => byte & 3),
  ];
  return inputs.map(toHex);
}

/** The ids of all codecs there are. */
export function codecIds(): string[] {
  return codecs.map((codec) => codec.id);
}

function mayFollow(ids: readonly string[]): boolean {
  try {
    parsePolicy(ids);
    return true;
  } catch {
    return false;
  }
}

/** Elements that look like data: floats about zero behind some of any bits; of all else the lowest bytes vary most. */
function elementsOf(dtype: DType): Uint8Array {
  const length = Math.floor(DTYPE_BYTES / dtype.bits) * dtype.bits;
  const anyBits = noise(64, 100 + dtype.code);
  const floats = floatsOf(dtype);
  if (floats !== undefined) {
    const bytes = floats(normals(length / 2, 0.02, dtype.code)).slice(0, length);
    bytes.set(anyBits);
    return bytes;
  }
  const next = random(dtype.code);
  const bytes = new Uint8Array(length);
  const width = Math.max(1, dtype.bits / 8);
  for (let at = 0; at < length; at++) {
    const place = at % width;
    if (place === 0) bytes[at] = dtype.kind === "bool" ? next() * 2 : next() ** 2 * 256;
    else if (place === 1) bytes[at] = next() * 4;
  }
  if (dtype.kind !== "bool") bytes.set(anyBits);
  return bytes;
}

/** How numbers become the floats that elements of a dtype are made of; undefined for small floats and all else. */
function floatsOf({ bits, kind, exponentBits }: DType): ((values: Float32Array) => Uint8Array) | undefined {
  if (kind !== "float" && kind !== "complex") return undefined;
  const componentBits = kind === "complex" ? bits / 2 : bits;
  if (componentBits === 64) return (values) => bytesOf(Float64Array.from(values));
  if (componentBits === 32) return bytesOf;
  if (componentBits !== 16) return undefined;
  return exponentBits === 8 ? toBfloat16 : (values) => bytesOf(Float16Array.from(values));
}

function sample(name: string, dtype: string, bytes: Uint8Array): Sample {
  return { name, dtype, hex: toHex(bytes) };
}

function crossed(samples: readonly Sample[], codings: readonly Job["coding"][]): Job[] {
  return codings.flatMap((coding) => samples.map((_, index) => ({ sample: index, coding })));
}

function bytesOf(array: ArrayBufferView<ArrayBufferLike>): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
