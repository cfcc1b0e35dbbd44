/**
 * Seeded models of normally distributed weights, as safetensors files. Each layer is a large matrix and a vector of 1,024 elements, as norms and biases
 * are; every tensor has a sigma of its own, drawn from 0.01 to 0.05.
 *
 * 16-bit elements are drawn from the 2^20 quantiles of the normal distribution, rounded to the type once a
 * tensor: twice as fast as computing each. That leaves out the outermost millionth; the entropy of
 * bfloat16 elements is 0.006 % lower for it (computed). float32 needs the full range of mantissas and takes
 * the slow way.
 */
import { closeSync, existsSync, openSync, statSync, writeSync } from "node:fs";
import { float32ToBfloat16, float32ToFloat16, kernelsReady } from "@tensorcask/kernels";
import { fillNormals, randomWords, standardQuantiles } from "@tensorcask/samples";
import type { Setting } from "./benchmark.ts";

export type NormalDType = "bfloat16" | "float16" | "float32";

export interface NormalModel {
  readonly dtype: NormalDType;
  /** Size of all matrices together. */
  readonly mebibytes: number;
  readonly seed: number;
  /** Everything in one matrix and no vectors. Default: matrices of 16 MiB. */
  readonly single?: boolean;
}

/** One tensor of a generated file. */
export interface NormalTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Offset in the file and length. */
  readonly offset: number;
  readonly bytes: number;
}

export interface NormalFile {
  readonly path: string;
  readonly bytes: number;
  readonly tensors: readonly NormalTensor[];
}

const MEBIBYTE = 2 ** 20;
const MATRIX_BYTES = 16 * MEBIBYTE;
const VECTOR_ELEMENTS = 1024;
/** Elements of a matrix's row. */
export const ROW_ELEMENTS = 4096;
const BLOCK_BYTES = 4 * MEBIBYTE;
const QUANTILES_LOG2 = 20;

const safetensorsDTypes: Record<NormalDType, { readonly code: string; readonly bytes: number }> = {
  bfloat16: { code: "BF16", bytes: 2 },
  float16: { code: "F16", bytes: 2 },
  float32: { code: "F32", bytes: 4 },
};

/** Where the tensors of a model lie, and the file's header. */
function layout(model: NormalModel): { header: Uint8Array; tensors: NormalTensor[]; bytes: number } {
  const { code, bytes: elementBytes } = safetensorsDTypes[model.dtype];
  const total = model.mebibytes * MEBIBYTE;
  const matrixBytes = model.single === true ? total : Math.min(total, MATRIX_BYTES);
  const entries: Record<string, object> = {};
  const planned: NormalTensor[] = [];
  let at = 0;
  const add = (name: string, shape: readonly number[]): void => {
    const bytes = shape.reduce((product, size) => product * size, elementBytes);
    entries[name] = { dtype: code, shape, data_offsets: [at, at + bytes] };
    planned.push({ name, shape, offset: at, bytes });
    at += bytes;
  };
  for (let layer = 0; layer * matrixBytes < total; layer++) {
    add(`layers.${layer}.weight`, [matrixBytes / elementBytes / ROW_ELEMENTS, ROW_ELEMENTS]);
    if (model.single !== true) add(`layers.${layer}.norm`, [VECTOR_ELEMENTS]);
  }
  const json = JSON.stringify({ __metadata__: { generator: "tensorcask benchmarks" }, ...entries });
  const text = new TextEncoder().encode(json + " ".repeat((8 - (json.length % 8)) % 8));
  const header = new Uint8Array(8 + text.length);
  new DataView(header.buffer).setBigUint64(0, BigInt(text.length), true);
  header.set(text, 8);
  const tensors = planned.map((tensor) => ({ ...tensor, offset: tensor.offset + header.length }));
  return { header, tensors, bytes: header.length + at };
}

/** Writes a model's file, unless it is there already. */
export async function writeNormalModel(path: string, model: NormalModel): Promise<NormalFile> {
  await kernelsReady();
  const { header, tensors, bytes } = layout(model);
  if (existsSync(path) && statSync(path).size === bytes) return { path, bytes, tensors };
  const file = openSync(path, "w");
  try {
    writeSync(file, header);
    for (const [index, tensor] of tensors.entries()) {
      writeTensor(file, tensor.bytes, model.dtype, model.seed * 65_537 + index);
    }
  } finally {
    closeSync(file);
  }
  return { path, bytes, tensors };
}

function writeTensor(file: number, bytes: number, dtype: NormalDType, seed: number): void {
  const random = randomWords(seed);
  const sigma = 0.01 * 5 ** (random() / 2 ** 32);
  const block = new Uint8Array(Math.min(bytes, BLOCK_BYTES));
  const floats = new Float32Array(block.buffer);
  const fill =
    dtype === "float32"
      ? () => fillNormals(floats, random, sigma)
      : fromQuantiles(block, random, sigma, dtype);
  for (let at = 0; at < bytes; at += block.length) {
    fill();
    writeSync(file, block, 0, Math.min(block.length, bytes - at));
  }
}

let quantiles: Float32Array | undefined;

function fromQuantiles(
  block: Uint8Array,
  random: () => number,
  sigma: number,
  dtype: NormalDType,
): () => void {
  quantiles ??= standardQuantiles(2 ** QUANTILES_LOG2);
  const scaled = quantiles.map((value) => value * sigma);
  const bytes = new Uint8Array(scaled.buffer);
  const rounded = dtype === "bfloat16" ? float32ToBfloat16(bytes) : float32ToFloat16(bytes);
  const codes = new Uint16Array(rounded.slice().buffer);
  const values = new Uint16Array(block.buffer);
  return () => {
    for (let at = 0; at < values.length; at++) values[at] = codes[random() >>> (32 - QUANTILES_LOG2)]!;
  };
}

/** The seeded model of a run's import and export: one file for all benchmarks that want this type and size. */
export async function seededModel(
  setting: Setting,
  dtype: NormalDType,
  mebibytes: number,
): Promise<NormalFile> {
  setting.say(`generating ${mebibytes} MiB of ${dtype}`);
  const path = setting.scratch.path(`normal-${dtype}-${mebibytes}.safetensors`);
  return writeNormalModel(path, { dtype, mebibytes, seed: 1 });
}
