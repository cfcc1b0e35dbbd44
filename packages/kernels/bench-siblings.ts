/**
 * Differences to siblings on pairs of real files, beside the usual way (XOR, byte planes, zstd level 3) and coding without a sibling in the
 * same run. All tensors of a pair that differ are one array, cut into blocks. The files lie in `../shared/data` beside the repository.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";

import { best, blocksOf, readTensors, speed, zstd3 } from "./bench-support.ts";
import {
  decodeDifference,
  encodeBlock,
  encodeDifference,
  encodedLimit,
  joinPlanes,
  splitPlanes,
  type WordLayout,
} from "./src/index.ts";

const data = join(import.meta.dirname, "../../../shared/data");

/** Name, sibling, file. */
const pairs: readonly (readonly [string, string, string])[] = [
  ["50 steps, bf16", "trained/base-step-a/model", "trained/base/model"],
  ["fine-tune, bf16", "trained/base/model", "trained/ft-full/model"],
  ["merged LoRA, bf16", "trained-small/base/model", "trained-small/ft-lora-merged/model"],
  ["epochs 480 to 499, fp32", "public/ultraface-rfb__epoch480.pth", "public/ultraface-rfb__epoch499.pth"],
  ["epochs 440 to 460, fp32", "public/ultraface-rfb__epoch440.pth", "public/ultraface-rfb__epoch460.pth"],
  ["epochs 200 to 400, fp32", "public/ultraface-rfb__epoch200.pth", "public/ultraface-rfb__epoch400.pth"],
  ["fine-tune, fp32", "public/textgenrnn__textgenrnn_weights.hdf5", "public/textgenrnn__hacker_news.hdf5"],
  ["noise 1 and 2, fp16", "public/waifu2x-cunet__noise1_model.bin", "public/waifu2x-cunet__noise2_model.bin"],
];

/** Prints a table of all pairs. */
export function measureSiblings(): void {
  console.log(`${"pair".padEnd(26)} ${"coder".padEnd(16)} fraction   MB/s in, out`);
  for (const [name, sibling, file] of pairs) {
    const paths = [sibling, file].map((path) => join(data, `${path}.safetensors`));
    if (paths.every((path) => existsSync(path))) measurePair(name, paths[0]!, paths[1]!);
    else console.log(`${name.padEnd(26)} skipped: ${file} or its sibling is not in ../shared/data`);
  }
}

function measurePair(name: string, siblingPath: string, path: string): void {
  const before = new Map(readTensors(siblingPath).map((tensor) => [tensor.name, tensor]));
  const changed = readTensors(path).filter((tensor) => {
    const other = before.get(tensor.name);
    return other?.bytes.length === tensor.bytes.length && Buffer.compare(other.bytes, tensor.bytes) !== 0;
  });
  const { layout } = changed[0]!;
  const words = new Uint8Array(Buffer.concat(changed.map(({ bytes }) => bytes)));
  const sibling = new Uint8Array(Buffer.concat(changed.map(({ name }) => before.get(name)!.bytes)));
  measureDifferences(name, words, sibling, layout);
  measureExclusiveOr(words, sibling, layout);
  measurePlain(words, layout);
}

function report(name: string, coder: string, bytes: number, coded: number, times: readonly number[]): void {
  const speeds = times.map((time) => speed(bytes, time)).join(" ");
  console.log(`${name.padEnd(26)} ${coder.padEnd(16)} ${(coded / bytes).toFixed(4).padStart(8)} ${speeds}`);
}

function measureDifferences(name: string, words: Uint8Array, sibling: Uint8Array, layout: WordLayout): void {
  const siblings = blocksOf(sibling, layout);
  const blocks = blocksOf(words, layout);
  const scratch = new Uint8Array(blocks[0]!.length);
  const encoded = blocks.map((block, i) => {
    const length = encodeDifference(block, siblings[i]!, layout, scratch);
    if (length === undefined) throw new Error(`${name}: block ${i} is declined`);
    return scratch.slice(0, length);
  });
  const back = new Uint8Array(words.length);
  const outputs = blocksOf(back, layout);
  const decode = () => {
    encoded.forEach((block, i) => {
      decodeDifference(block, siblings[i]!, layout, outputs[i]!);
    });
  };
  decode();
  if (Buffer.compare(back, words) !== 0) throw new Error(`${name}: does not round trip`);
  const encodeTime = best(() => {
    blocks.forEach((block, i) => {
      encodeDifference(block, siblings[i]!, layout, scratch);
    });
  });
  const coded = encoded.reduce((sum, block) => sum + block.length, 0);
  report(name, "difference", words.length, coded, [encodeTime, best(decode)]);
}

function measureExclusiveOr(words: Uint8Array, sibling: Uint8Array, layout: WordLayout): void {
  const width = layout.elementBytes as 2 | 4;
  const count = words.length / width;
  const planes = new Uint8Array(words.length);
  const changes = new Uint8Array(words.length);
  let coded: Buffer[] = [];
  const encode = () => {
    exclusiveOr(words, sibling, changes);
    splitPlanes(changes, width, false, planes);
    coded = Array.from({ length: width }, (_, k) => zstd3(planes.subarray(k * count, (k + 1) * count)));
  };
  const encodeTime = best(encode);
  const decodeTime = best(() => {
    coded.forEach((plane, k) => {
      planes.set(zstdDecompressSync(plane), k * count);
    });
    joinPlanes(planes, width, false, changes);
    exclusiveOr(changes, sibling, changes);
  });
  if (Buffer.compare(changes, words) !== 0) throw new Error("XOR does not round trip");
  const bytes = coded.reduce((sum, plane) => sum + plane.length, 0);
  report("", "XOR, planes, zstd", words.length, bytes, [encodeTime, decodeTime]);
}

function exclusiveOr(a: Uint8Array, b: Uint8Array, out: Uint8Array): void {
  const whole = a.length >> 2;
  const [x, y, z] = [a, b, out].map(({ buffer, byteOffset }) => new Uint32Array(buffer, byteOffset, whole));
  for (let i = 0; i < whole; i++) z![i] = x![i]! ^ y![i]!;
  for (let i = whole << 2; i < a.length; i++) out[i] = a[i]! ^ b[i]!;
}

function measurePlain(words: Uint8Array, layout: WordLayout): void {
  const blocks = blocksOf(words, layout);
  const scratch = new Uint8Array(encodedLimit(blocks[0]!.length));
  let bytes = 0;
  const time = best(() => {
    bytes = blocks.reduce((sum, block) => sum + encodeBlock(block, layout, "rans", scratch), 0);
  });
  report("", "rans, no sibling", words.length, bytes, [time]);
}
