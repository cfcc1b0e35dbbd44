/** Inputs that codecs are tried on: seeded, small, each with something a codec may trip over. */
import fc from "fast-check";

/** A small seeded generator (xorshift32) of numbers in [0, 1). */
export function random(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** Normally distributed float32 values. */
export function normals(count: number, sigma: number, seed: number): Float32Array {
  const next = random(seed);
  const values = new Float32Array(count);
  for (let index = 0; index < count; index++) {
    values[index] = sigma * Math.sqrt(-2 * Math.log(next() + 1e-12)) * Math.cos(2 * Math.PI * next());
  }
  return values;
}

/** The upper halves of float32 values: bfloat16, truncated. */
export function toBfloat16(values: Float32Array): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = Uint16Array.from(bits, (word) => word >>> 16);
  return new Uint8Array(halves.buffer);
}

export function noise(bytes: number, seed: number): Uint8Array {
  const next = random(seed);
  return Uint8Array.from({ length: bytes }, () => next() * 256);
}

/** Named inputs of hostile lengths and textures. */
export function sampleInputs(): [string, Uint8Array][] {
  const floats = normals(5000, 0.02, 3);
  const sparse = new Float32Array(4096);
  for (let index = 0; index < sparse.length; index += 13) sparse[index] = floats[index % floats.length]!;
  const held = Uint32Array.from(new Uint32Array(floats.buffer), (word) => word & 0xffff0000);
  const row = noise(1000, 5);
  const tiled = new Uint8Array(40_000);
  for (let at = 0; at < tiled.length; at += row.length) tiled.set(row, at);
  return [
    ["empty", new Uint8Array(0)],
    ["one byte", Uint8Array.of(7)],
    ["three bytes", Uint8Array.of(1, 2, 3)],
    ["fifteen bytes", noise(15, 9)],
    ["zeros", new Uint8Array(10_000)],
    ["one value", new Uint8Array(9999).fill(0xc3)],
    ["noise", noise(20_001, 1)],
    ["float32", new Uint8Array(floats.buffer)],
    ["float32, odd length", new Uint8Array(floats.buffer, 0, 19_997)],
    ["float32 at an odd offset", new Uint8Array(floats.buffer, 1, 19_990)],
    ["float32 holding bfloat16", new Uint8Array(held.buffer)],
    ["bfloat16", toBfloat16(floats)],
    ["sparse float32", new Uint8Array(sparse.buffer)],
    ["tiled noise", tiled],
    ["counting int32", new Uint8Array(Int32Array.from({ length: 4000 }, (_, index) => index - 2000).buffer)],
    ["text", new TextEncoder().encode("a tensor is a tensor is a tensor. ".repeat(300))],
  ];
}

/** Bytes of any length and of several textures, now and then at an odd offset or in shared memory. */
export function anyBytes(maxLength: number): fc.Arbitrary<Uint8Array> {
  const plain = fc.uint8Array({ minLength: 0, maxLength });
  const runs = fc
    .array(fc.tuple(fc.nat(255), fc.integer({ min: 1, max: Math.max(1, maxLength >> 3) })), { maxLength: 8 })
    .map((parts) => new Uint8Array(parts.flatMap(([byte, count]) => new Array<number>(count).fill(byte))));
  const skewed = plain.map((bytes) => bytes.map((byte) => byte & 3));
  return fc.tuple(fc.oneof(plain, runs, skewed), fc.nat(3), fc.boolean()).map(([bytes, offset, shared]) => {
    const memory = shared
      ? new SharedArrayBuffer(bytes.length + offset)
      : new ArrayBuffer(bytes.length + offset);
    const view = new Uint8Array(memory, offset);
    view.set(bytes);
    return view;
  });
}

/** One thing that happens to bytes at rest: a changed byte, lost bytes, added bytes, a piece that moved. */
export interface Mutation {
  readonly kind: "change" | "cut" | "add" | "swap";
  readonly at: number;
  readonly value: number;
}

export const anyMutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom("change" as const, "cut" as const, "add" as const, "swap" as const),
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  value: fc.integer({ min: 1, max: 255 }),
});

/** The bytes after a mutation: always different from before, except for swaps of equal bytes. */
export function mutated(bytes: Uint8Array, mutation: Mutation): Uint8Array {
  const at = Math.floor(mutation.at * bytes.length);
  if (mutation.kind === "cut") return bytes.slice(0, at);
  if (mutation.kind === "add" || bytes.length === 0) {
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes.subarray(0, at));
    longer[at] = mutation.value;
    longer.set(bytes.subarray(at), at + 1);
    return longer;
  }
  const copy = bytes.slice();
  if (mutation.kind === "change") copy[at]! ^= mutation.value;
  else {
    const other = (at + mutation.value) % bytes.length;
    copy[at] = bytes[other]!;
    copy[other] = bytes[at]!;
  }
  return copy;
}
