/** Safetensors files for the tests: built from text, mutated, and the real ones where they are there. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A file: the length (unless told otherwise), the JSON, then `data` bytes (zeros for a number). */
export function fileOf(
  json: string | Uint8Array,
  data: number | Uint8Array = 0,
  length?: bigint,
): Uint8Array {
  const header = typeof json === "string" ? new TextEncoder().encode(json) : json;
  const tail = typeof data === "number" ? new Uint8Array(data) : data;
  const file = new Uint8Array(8 + header.length + tail.length);
  new DataView(file.buffer).setBigUint64(0, length ?? BigInt(header.length), true);
  file.set(header, 8);
  file.set(tail, 8 + header.length);
  return file;
}

/** The JSON of one tensor's entry. */
export function entry(
  name: string,
  dtype: string,
  shape: string,
  begin: string | number,
  end: string | number,
) {
  return `"${name}":{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;
}

const data = fileURLToPath(new URL("../../../../shared/data/", import.meta.url));

/** Paths of real safetensors files; empty when the data is not there. */
export function realFiles(): string[] {
  const folders = ["public", "trained", "trained-small"].map((name) => join(data, name)).filter(existsSync);
  return folders.flatMap((folder) =>
    (readdirSync(folder, { recursive: true }) as string[])
      .filter((name) => name.endsWith(".safetensors"))
      .sort()
      .map((name) => join(folder, name)),
  );
}

/** Headers (with their length) and sizes of the real files; one that is written here when there are none. */
export function realHeaders(): { name: string; header: Uint8Array; fileBytes: number }[] {
  const real = realFiles().map((path) => {
    const file = readFileSync(path);
    const headerBytes = 8 + Number(file.readBigUInt64LE(0));
    return { name: path, header: new Uint8Array(file.subarray(0, headerBytes)), fileBytes: file.length };
  });
  if (real.length > 0) return real;
  const json = `{"__metadata__":{"format":"pt"},${entry("a.weight", "F32", "[2,3]", 0, 24)},${entry("b", "BF16", "[]", 24, 26)}}`;
  const file = fileOf(json, 26);
  return [{ name: "written here", header: file.subarray(0, file.length - 26), fileBytes: file.length }];
}

/** The bytes that parts cover from 0 on, in order and without holes; NaN when they do not. */
export function coveredBytes(parts: readonly { offset: number; bytes: number }[]): number {
  return parts.reduce((at, { offset, bytes }) => (offset === at ? at + bytes : Number.NaN), 0);
}

/** A small seeded generator of numbers in [0, n). */
export function numbers(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    mixed ^= mixed >>> 15;
    return (mixed >>> 0) % n;
  };
}

const tokens = [
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  '"',
  "\\",
  "-",
  "0",
  "1",
  "9",
  ".",
  "e",
  " ",
  "\0",
  "null",
  "\\ud800",
  "\\u0061",
  "18446744073709551615",
  "18446744073709551616",
  "1.0",
  "1e0",
  "-0",
  '"a":',
  "\ufeff",
  "__metadata__",
  "F4",
  "[]",
  "{}",
].map((text) => new TextEncoder().encode(text));

/**
 * One to four random edits of a header (length included): bytes flipped or replaced, tokens inserted, runs removed, repeated or swapped.
 * Mostly the length is put right again, so that the edit reaches the JSON.
 */
export function mutate(header: Uint8Array, random: (n: number) => number): Uint8Array {
  let json = header.slice(8);
  for (let edits = 1 + random(4); edits > 0; edits--) {
    const at = random(json.length + 1);
    const run = Math.min(1 + random(40), json.length - at);
    const kind = random(6);
    if (kind === 0 && at < json.length) json[at]! ^= 1 << random(8);
    else if (kind === 1 && at < json.length) json[at] = random(256);
    else if (kind === 2) json = splice(json, at, 0, tokens[random(tokens.length)]!);
    else if (kind === 3) json = splice(json, at, Math.min(3, run), tokens[random(tokens.length)]!);
    else if (kind === 4) json = splice(json, at, run, new Uint8Array(0));
    else json = splice(json, at, 0, json.slice(at, at + run));
  }
  const file = fileOf(json);
  if (random(10) === 0) file[random(8)] = random(256);
  return file;
}

function splice(bytes: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(bytes.length - remove + insert.length);
  result.set(bytes.subarray(0, at));
  result.set(insert, at);
  result.set(bytes.subarray(at + remove), at + insert.length);
  return result;
}
