/** The LZ4 frame and block formats, which section 11 of docs/format.md refers to. */
import { must } from "./bytes.ts";

/** 11, codec 2. */
export function decodeLz4(frame: Buffer): Buffer {
  must(frame.readUInt32LE(0) === 0x184d2204 && frame[4]! >> 6 === 1, "not an LZ4 frame");
  const flags = frame[4]!;
  const out: number[] = [];
  let at = (flags & 8) === 0 ? 7 : 15;
  for (;;) {
    const word = frame.readUInt32LE(at);
    at += 4;
    if (word === 0) break;
    const end = at + (word & 0x7fffffff);
    if (word >= 0x80000000) out.push(...frame.subarray(at, end));
    else decodeLz4Block(frame.subarray(at, end), out);
    at = end + ((flags & 16) === 0 ? 0 : 4);
  }
  must(at + ((flags & 4) === 0 ? 0 : 4) === frame.length, "bytes follow an LZ4 frame");
  return Buffer.from(out);
}

/** Appends what a block holds to `out`, which matches may reach back into. */
export function decodeLz4Block(block: Buffer, out: number[]): void {
  let at = 0;
  const extended = (base: number): number => {
    let length = base;
    if (base === 15)
      for (;;) {
        const byte = block[at++]!;
        length += byte;
        if (byte !== 255) break;
      }
    return length;
  };
  while (at < block.length) {
    const token = block[at++]!;
    const literals = extended(token >> 4);
    for (let index = 0; index < literals; index++) out.push(block[at++]!);
    if (at >= block.length) return;
    const distance = block.readUInt16LE(at);
    at += 2;
    const match = extended(token & 15) + 4;
    for (let index = 0; index < match; index++) out.push(out[out.length - distance]!);
  }
}
