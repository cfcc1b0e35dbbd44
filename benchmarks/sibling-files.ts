/** Seeded versions of opaque files, of which no model reader knows anything: what was edited in them, and how. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomWords } from "@tensorcask/samples";
import type { Setting } from "./benchmark.ts";
import type { ModelPair } from "./sibling-pairs.ts";

/** The same pairs on every run; `mebibytes` is about the size of a file. */
export function opaquePairs(setting: Setting, mebibytes: number): ModelPair[] {
  const bytes = mebibytes * 2 ** 20;
  const words = Math.floor(bytes / 24);
  const text = vocabulary(words, 0, 0);
  const code = program(bytes, 0);
  const archive = noise(bytes, 7);
  const pairs: [name: string, suffix: string, first: Uint8Array, second: Uint8Array][] = [
    ["tokenizer: a byte in each 8 KiB", "json", text, scattered(text, 8192)],
    ["tokenizer: each 50th word is another one", "json", text, vocabulary(words, 50, 0)],
    ["tokenizer: all numbers are 3 more", "json", text, vocabulary(words, 0, 3)],
    ["program: a byte in each 8 KiB", "bin", code, scattered(code, 8192)],
    ["program: all addresses moved", "bin", code, program(bytes, 4096)],
    ["program: inserts every 3000 bytes", "bin", code, withInserts(code, 3000)],
    ["compressed bytes: a byte in each 8 KiB", "bin", archive, scattered(archive, 8192)],
    [
      "compressed bytes: 8 bytes at the front",
      "bin",
      archive,
      Buffer.concat([archive.subarray(0, 8), archive]),
    ],
    ["compressed bytes: unrelated", "bin", archive, noise(bytes, 8)],
  ];
  return pairs.map(([name, suffix, first, second], index) => {
    const paths = [first, second].map((content, side) => {
      const path = join(setting.scratch.directory, `opaque-${index}-${side}.${suffix}`);
      writeFileSync(path, content);
      return path;
    });
    return { name, first: paths[0]!, second: paths[1]! };
  });
}

/** A vocabulary as JSON, a line for each word; each `other`th word is another one, if that is not 0, and numbers begin at `first`. */
function vocabulary(words: number, other: number, first: number): Uint8Array {
  const next = randomWords(1);
  const lines: string[] = [];
  for (let index = 0; index < words; index++) {
    let word = "";
    for (let letters = 3 + (next() % 8); letters > 0; letters--)
      word += "etaoinshrdlucmfw"[(next() >>> 8) % 16];
    lines.push(`  "${other > 0 && index % other === 7 ? "new" : ""}${word}": ${first + index}`);
  }
  return Buffer.from(`{\n${lines.join(",\n")}\n}\n`);
}

/** Instructions that come often, with addresses between them that are `moved` further on. */
function program(bytes: number, moved: number): Uint8Array {
  const next = randomWords(2);
  const instructions = Array.from({ length: 256 }, (_, index) => noise(2 + (index % 7), 100 + index));
  const code = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; ) {
    const instruction = instructions[Math.min(next() >>> 24, next() >>> 24)]!;
    code.set(instruction.subarray(0, bytes - at), at);
    at += instruction.length;
    if (at + 4 > bytes || next() % 3 !== 0) continue;
    code.writeUInt32LE(0x40_0000 + ((next() >>> 8) % 4096) * 16 + moved, at);
    at += 4;
  }
  return code;
}

function noise(bytes: number, seed: number): Uint8Array {
  const next = randomWords(seed);
  return Uint8Array.from({ length: bytes }, () => next() >>> 24);
}

function scattered(bytes: Uint8Array, step: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (let at = step >> 1; at < copy.length; at += step) copy[at]! ^= 0x11;
  return copy;
}

function withInserts(bytes: Uint8Array, step: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += step)
    parts.push(bytes.subarray(at, at + step), Buffer.from(`<${(at * 7919) % 9973}>`));
  return Buffer.concat(parts);
}
