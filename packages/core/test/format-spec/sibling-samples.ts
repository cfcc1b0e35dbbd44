/** Chunks and siblings for format-spec.test.ts: related in every way that codecs 10, 18 and 19 have a form for. The same every time. */
import { bfloat16, bytesOfArray, noise, plainWeights } from "./samples.ts";

/** A chunk, and what it is coded against. */
export interface SiblingSample {
  readonly name: string;
  readonly bytes: Buffer;
  readonly other: Buffer;
  readonly type: string;
  readonly otherType: string;
}

const TYPES = ["float16", "bfloat16", "float32"] as const;

/** All pairs. */
export function siblingSamples(): SiblingSample[] {
  const base = plainWeights(9001, 60);
  const steps = plainWeights(9001, 61);
  const places = noise(9001, 62);
  const moved = (share: number): Float32Array => base.map((value, index) => value + share * steps[index]!);
  const relations: Record<string, Float32Array> = {
    "moved a little": moved(1e-3),
    "moved far": moved(0.3),
    unrelated: steps,
    "few replaced": base.map((value, index) => (places[index] === 7 ? steps[index]! : value)),
    "a run replaced": base.map((value, index) => (index >= 3000 && index < 3300 ? steps[index]! : value)),
    "one replaced": base.map((value, index) => (index === 9000 ? -value : value)),
    scaled: base.map((value) => value * 0.99),
    same: base,
  };
  const pairs: SiblingSample[] = [];
  for (const [name, values] of Object.entries(relations)) {
    for (const type of TYPES) {
      for (const otherType of TYPES)
        pairs.push({ name, bytes: as(values, type), other: as(base, otherType), type, otherType });
    }
  }
  const bytes = noise(40_003, 63);
  for (const type of TYPES) {
    // Every kind of NaN, infinities and subnormals among them, on either side.
    for (const otherType of TYPES) {
      const patterns = bytesOfArray(Uint16Array.from({ length: 65_536 }, (_, index) => index));
      pairs.push({ name: "all patterns", bytes, other: patterns, type, otherType });
      pairs.push({ name: "noise", bytes: patterns.subarray(1), other: bytes, type, otherType });
    }
    const [whole, related] = [as(base, type), as(moved(1e-2), type)];
    for (const length of [0, 1, 2, 3, 5, 254, 600, 1024, 20_000]) {
      pairs.push({
        name: `sibling of ${length}`,
        bytes: related,
        other: whole.subarray(0, length),
        type,
        otherType: type,
      });
      pairs.push({
        name: `chunk of ${length}`,
        bytes: related.subarray(0, length),
        other: whole,
        type,
        otherType: type,
      });
    }
  }
  const [long, longBase] = [64, 65].map((seed) => bytesOfArray(bfloat16(plainWeights(140_001, seed))));
  pairs.push(
    {
      name: "two blocks",
      bytes: close(longBase!),
      other: longBase!,
      type: "bfloat16",
      otherType: "bfloat16",
    },
    { name: "unrelated blocks", bytes: long!, other: longBase!, type: "bfloat16", otherType: "bfloat16" },
    { name: "bytes", bytes: close(bytes), other: bytes, type: "uint8", otherType: "uint8" },
    ...edited(),
    { name: "doubles", bytes: close(bytes), other: bytes, type: "float64", otherType: "float32" },
    {
      name: "complex",
      bytes: as(moved(1e-2), "float32"),
      other: as(base, "float32"),
      type: "complex64",
      otherType: "complex64",
    },
  );
  return pairs;
}

/** Opaque bytes with stretches that were replaced, inserted, moved, numbered anew and repeated. */
function edited(): SiblingSample[] {
  const other = noise(30_000, 66);
  const at = (start: number, end: number): Buffer => other.subarray(start, end);
  const added = noise(900, 67);
  const versions: Record<string, Buffer> = {
    replaced: Buffer.from(other.map((byte, index) => (index % 211 === 7 ? byte + 1 : byte))),
    inserted: Buffer.concat([added, at(0, 9000), added.subarray(0, 5), at(9000, 30_000), added]),
    moved: Buffer.concat([at(20_000, 30_000), at(5, 700), at(4000, 20_000), at(10, 14), at(0, 50)]),
    alternating: Buffer.concat(
      Array.from({ length: 300 }, (_, index) =>
        at(50 * index + 7000 * ((index % 5) % 3), 50 * index + 7000 * ((index % 5) % 3) + 40),
      ),
    ),
    repeated: Buffer.concat([
      at(100, 200),
      at(100, 200),
      at(100, 200),
      Buffer.alloc(500),
      at(29_000, 30_000),
    ]),
    unrelated: noise(5000, 68),
    empty: Buffer.alloc(0),
  };
  return Object.entries(versions).flatMap(([name, bytes]) =>
    [other, other.subarray(0, 6000), other.subarray(0, 3)].map((against) => ({
      name: `edited: ${name}, sibling of ${against.length}`,
      bytes,
      other: against,
      type: "uint8",
      otherType: "uint8",
    })),
  );
}

function as(values: Float32Array, type: (typeof TYPES)[number]): Buffer {
  if (type === "float32") return bytesOfArray(values);
  return bytesOfArray(type === "float16" ? new Float16Array(values) : bfloat16(values));
}

/** The same words of 2 bytes, but that one in nine is larger by one or two. */
function close(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  for (let at = 0; at + 1 < changed.length; at += 18)
    changed.writeUInt16LE((changed.readUInt16LE(at) + 1 + (at % 4) / 2) % 65_536, at);
  return changed;
}
