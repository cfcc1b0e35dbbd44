/**
 * Pairs of models of which the second was made from the first, or was not: trained and public ones (real-files.ts), and seeded ones, each with what the
 * project aims at for it.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DTypeName, dtypeOf } from "@tensorcask/codec";
import { layoutSafetensors } from "@tensorcask/core";
import { float32ToBfloat16 } from "@tensorcask/kernels";
import { fillNormals, randomWords } from "@tensorcask/samples";
import type { Setting } from "./benchmark.ts";
import { findRealFiles, findRealModels } from "./real-files.ts";

export interface ModelPair {
  readonly name: string;
  readonly first: string;
  readonly second: string;
  /** Aimed at: stored bytes of the second model, as a fraction of it or of its tensors that changed. */
  readonly target?: number;
  /** Count only tensors that the first model does not have. */
  readonly changedOnly?: boolean;
}

/** A pair by parts of its files' names. */
interface Wanted extends Omit<ModelPair, "first" | "second"> {
  readonly first: RegExp;
  readonly second: RegExp;
}

const wanted: readonly Wanted[] = [
  {
    name: "trained: step a -> base",
    first: /^trained\/base-step-a/,
    second: /^trained\/base$/,
    target: 0.266,
  },
  {
    name: "trained: base -> full fine-tune",
    first: /^trained\/base$/,
    second: /^trained\/ft-full/,
    target: 0.391,
  },
  {
    name: "small: base -> merged LoRA, changed tensors",
    first: /^(trained-small|examples)\/base$/,
    second: /^(trained-small|examples)\/ft-lora-merged/,
    target: 0.5,
    changedOnly: true,
  },
  {
    name: "small: base -> full fine-tune",
    first: /^(trained-small|examples)\/base$/,
    second: /^(trained-small|examples)\/ft-full/,
  },
  {
    name: "ultraface: epoch 480 -> 499",
    first: /ultraface.*epoch480/,
    second: /ultraface.*epoch499\.pth$/,
    target: 0.45,
  },
  {
    name: "ultraface: epoch 440 -> 460",
    first: /ultraface.*epoch440/,
    second: /ultraface.*epoch460/,
    target: 0.566,
  },
  {
    name: "ultraface: epoch 200 -> 400",
    first: /ultraface.*epoch200/,
    second: /ultraface.*epoch400/,
    target: 0.765,
  },
  {
    name: "textgenrnn: base -> hacker news",
    first: /textgenrnn_weights\.hdf5$/,
    second: /textgenrnn__hacker_news/,
    target: 0.716,
  },
  {
    name: "textgenrnn: base -> reddit",
    first: /textgenrnn_weights\.hdf5$/,
    second: /textgenrnn__reddit_apple/,
  },
  {
    name: "waifu2x cunet: noise 1 -> 2, independent",
    first: /cunet__noise1/,
    second: /cunet__noise2/,
    target: 0.849,
  },
  { name: "waifu2x upconv7: noise 1 -> 2, independent", first: /upconv7__noise1/, second: /upconv7__noise2/ },
  {
    name: "silero-vad: 6.0 -> 6.2, ONNX",
    first: /silero-vad__v6\.0\.onnx/,
    second: /silero-vad__v6\.2\.onnx/,
  },
  { name: "silero-vad: 5 -> 6.0, ONNX", first: /silero-vad__v5\.onnx/, second: /silero-vad__v6\.0\.onnx/ },
];

/** The real pairs that are there. */
export function realPairs(): ModelPair[] {
  const found = [
    ...findRealModels().models,
    ...findRealFiles().models.filter(({ path }) => path.endsWith(".onnx")),
  ];
  const pathOf = (pattern: RegExp): string | undefined => found.find(({ name }) => pattern.test(name))?.path;
  return wanted.flatMap(({ first, second, ...rest }) => {
    const [from, to] = [pathOf(first), pathOf(second)];
    return from === undefined || to === undefined ? [] : [{ ...rest, first: from, second: to }];
  });
}

/** How a seeded model's second state comes from its first; `move` gives a weight's new value. */
interface Recipe {
  readonly name: string;
  readonly dtype: "bfloat16" | "float32";
  readonly ratio: number;
  move(weight: number, normal: number, chance: number, sigma: number): number;
}

const recipes: readonly Recipe[] = [
  {
    name: "light full fine-tune, bfloat16 (each weight by 0.1 %)",
    dtype: "bfloat16",
    ratio: 130,
    move: (weight, normal) => weight * (1 + 1e-3 * normal),
  },
  {
    name: "15 % of weights moved, bfloat16 (each by 0.22 %)",
    dtype: "bfloat16",
    ratio: 20,
    move: (weight, normal) => weight * (1 + 2.2e-3 * normal),
  },
  {
    name: "sparse, bfloat16 (6 % of weights by 5 %)",
    dtype: "bfloat16",
    ratio: 25,
    move: (weight, normal, chance) => (chance < 0.06 ? weight * (1 + 0.05 * normal) : weight),
  },
  {
    name: "dense, bfloat16 (each by 2.6 % of its tensor's sigma)",
    dtype: "bfloat16",
    ratio: 3.2,
    move: (weight, normal, _chance, sigma) => weight + 0.026 * sigma * normal,
  },
  {
    name: "light, float32 (each weight by 0.1 %)",
    dtype: "float32",
    ratio: 2.04,
    move: (weight, normal) => weight * (1 + 1e-3 * normal),
  },
];

const TENSORS = 4;
const ROW_ELEMENTS = 1024;
const SIGMAS = [0.01, 0.02, 0.03, 0.05];
const SEED = 11;

/** Seeded pairs of `mebibytes` each. */
export function seededPairs(setting: Setting, mebibytes: number): ModelPair[] {
  return recipes.map((recipe, index) => {
    const elementBytes = dtypeOf(recipe.dtype).bits / 8;
    const elements = (mebibytes * 2 ** 20) / elementBytes / TENSORS;
    const paths = ["first", "second"].map((side) =>
      setting.scratch.path(`pair-${index}-${side}.safetensors`),
    ) as [string, string];
    const states: TensorBytes[][] = [[], []];
    for (let tensor = 0; tensor < TENSORS; tensor++) {
      const sigma = SIGMAS[tensor % SIGMAS.length]!;
      const first = rounded(normals(elements, SEED + 2 * tensor, sigma), recipe.dtype);
      const noise = normals(elements, SEED + 2 * tensor + 1, 1);
      const random = randomWords(SEED + 100 + tensor);
      const second = first.map((weight, at) => recipe.move(weight, noise[at]!, random() / 2 ** 32, sigma));
      for (const [side, values] of [first, second].entries())
        states[side]!.push(tensorBytes(`layers.${tensor}`, recipe.dtype, values));
    }
    for (const [side, path] of paths.entries()) writeSafetensorsFile(path, states[side]!);
    return { name: recipe.name, first: paths[0], second: paths[1], target: 1 / recipe.ratio };
  });
}

/** A tensor of a generated file. */
export interface TensorBytes {
  readonly name: string;
  readonly dtype: DTypeName;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Writes a safetensors file. */
export function writeSafetensorsFile(path: string, tensors: readonly TensorBytes[]): void {
  const layout = layoutSafetensors(
    tensors.map(({ name, dtype, shape, bytes }) => ({ name, dtype: dtypeOf(dtype), shape, data: bytes })),
    {},
  );
  writeFileSync(path, Buffer.concat([layout.header, ...layout.tensors.map(({ source }) => source.data)]));
}

export function normals(count: number, seed: number, sigma: number): Float32Array {
  const values = new Float32Array(count);
  fillNormals(values, randomWords(seed), sigma);
  return values;
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Values as the type holds them. */
function rounded(values: Float32Array, dtype: Recipe["dtype"]): Float32Array {
  if (dtype === "float32") return values;
  const words = new Uint16Array(float32ToBfloat16(bytesOf(values)).slice().buffer);
  const bits = Uint32Array.from(words, (word) => word << 16);
  return new Float32Array(bits.buffer);
}

function tensorBytes(name: string, dtype: Recipe["dtype"], values: Float32Array): TensorBytes {
  const bytes = dtype === "float32" ? bytesOf(values) : float32ToBfloat16(bytesOf(values)).slice();
  return { name, dtype, shape: [values.length / ROW_ELEMENTS, ROW_ELEMENTS], bytes };
}

/** The trained family in the order in which it came to be, each with its path. */
export function trainedFamily(): readonly {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}[] {
  const { models } = findRealModels();
  const family = models.filter((model) => model.family === "trained");
  return family.length > 0 ? family : models.filter(({ family }) => /trained-small|examples/.test(family));
}

/** A path in a scratch directory for a copy of a file under another name. */
export function copyPath(setting: Setting, index: number): string {
  return join(setting.scratch.directory, `copy-${index}.safetensors`);
}
