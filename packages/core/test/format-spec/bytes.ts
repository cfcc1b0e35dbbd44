/** What the independent reader of format-spec.test.ts is made of: errors, hashes, fields. Numbers are sections of docs/format.md. */
import { createHash } from "node:crypto";

/** Thrown for everything that is not as the page says. */
export class SpecError extends Error {}

export function must(condition: boolean, message: string): asserts condition {
  if (!condition) throw new SpecError(message);
}

export const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
export const ascii = (bytes: Uint8Array, at: number, count: number): string =>
  Buffer.from(bytes.subarray(at, at + count)).toString("latin1");

/** 1: varints and the other fields, one after the other. */
export class Cursor {
  at = 0;
  readonly bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes);
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  u8(): number {
    must(this.left >= 1, "bytes end early");
    return this.bytes[this.at++]!;
  }

  /** An unsigned integer of so many bytes. */
  uint(bytes: number): number {
    let value = 0;
    for (let index = 0; index < bytes; index++) value += this.u8() * 256 ** index;
    must(value <= Number.MAX_SAFE_INTEGER, "a number is too large");
    return value;
  }

  varint(): number {
    let value = 0n;
    for (let index = 0; index < 8; index++) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << BigInt(7 * index);
      if (byte >= 0x80) continue;
      must(byte !== 0 || index === 0, "a varint is padded");
      must(value <= BigInt(Number.MAX_SAFE_INTEGER), "a varint is too large");
      return Number(value);
    }
    throw new SpecError("a varint is too long");
  }

  zigzag(): number {
    const code = this.varint();
    return code % 2 === 0 ? code / 2 : -(code + 1) / 2;
  }

  take(count: number): Buffer {
    must(count <= this.left, "bytes end early");
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
}

/** 1: XXH64 with seed 0. */
export function xxHash64(bytes: Uint8Array): bigint {
  const mask = (1n << 64n) - 1n;
  const primes = [
    0x9e3779b185ebca87n,
    0xc2b2ae3d27d4eb4fn,
    0x165667b19e3779f9n,
    0x85ebca77c2b2ae63n,
    0x27d4eb2f165667c5n,
  ] as const;
  const [p1, p2, p3, p4, p5] = primes;
  const rotate = (value: bigint, bits: bigint): bigint => ((value << bits) | (value >> (64n - bits))) & mask;
  const round = (lane: bigint, input: bigint): bigint =>
    (rotate((lane + input * p2) & mask, 31n) * p1) & mask;
  const data = Buffer.from(bytes);
  let at = 0;
  let hash: bigint;
  if (data.length >= 32) {
    const lanes = [(p1 + p2) & mask, p2, 0n, (0n - p1) & mask];
    for (; at + 32 <= data.length; at += 32) {
      for (let lane = 0; lane < 4; lane++)
        lanes[lane] = round(lanes[lane]!, data.readBigUInt64LE(at + 8 * lane));
    }
    const [a, b, c, d] = lanes as [bigint, bigint, bigint, bigint];
    hash = (rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n)) & mask;
    for (const lane of [a, b, c, d]) hash = ((hash ^ round(0n, lane)) * p1 + p4) & mask;
  } else hash = p5;
  hash = (hash + BigInt(data.length)) & mask;
  for (; at + 8 <= data.length; at += 8)
    hash = (rotate(hash ^ round(0n, data.readBigUInt64LE(at)), 27n) * p1 + p4) & mask;
  if (at + 4 <= data.length) {
    hash = (rotate(hash ^ ((BigInt(data.readUInt32LE(at)) * p1) & mask), 23n) * p2 + p3) & mask;
    at += 4;
  }
  for (; at < data.length; at++) hash = (rotate(hash ^ ((BigInt(data[at]!) * p5) & mask), 11n) * p1) & mask;
  hash = ((hash ^ (hash >> 33n)) * p2) & mask;
  hash = ((hash ^ (hash >> 29n)) * p3) & mask;
  return hash ^ (hash >> 32n);
}
