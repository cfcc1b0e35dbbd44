/** Bytes for format-spec.test.ts: of every kind that some codec has a form for. The same every time. */

/** Random bytes. */
export function noise(count: number, seed: number): Buffer {
  const bytes = Buffer.alloc(count);
  for (let index = 0, state = seed; index < count; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** About normally distributed, of some thousand different values. */
export function weights(count: number, seed: number): Float32Array {
  const bytes = noise(4 * count, seed);
  return Float32Array.from({ length: count }, (_, index) => {
    const sum = [0, 1, 2, 3].reduce((all, byte) => all + bytes[4 * index + byte]!, 0);
    return (sum - 510) / 4000;
  });
}

/** Normally distributed, all different: mantissas are noise. */
export function plainWeights(count: number, seed: number): Float32Array {
  const bytes = noise(8 * count, seed);
  return Float32Array.from({ length: count }, (_, index) => {
    const radius = Math.sqrt(-2 * Math.log((bytes.readUInt32LE(8 * index) + 1) / 2 ** 32));
    return 0.02 * radius * Math.cos((2 * Math.PI * bytes.readUInt32LE(8 * index + 4)) / 2 ** 32);
  });
}

/** The upper halves of float32 numbers. */
export function bfloat16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, (word) => word >>> 16);
}

export const bytesOfArray = (data: ArrayBufferView): Buffer =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength);

/** `count` of the parts, in no order. */
function shuffled(parts: readonly Uint8Array[], count: number, seed: number): Buffer {
  return Buffer.concat(Array.from(noise(count, seed), (byte) => parts[byte % parts.length]!));
}

const places = noise(3000, 31);
const zeros = weights(3000, 30).map((value, index) => (places[index]! < 235 ? 0 : value));
const around = weights(2000, 32).map((value, index) => value / 1e4 + [-3, 0.25, 1000][index % 3]!);
const runs = Float32Array.from({ length: 2000 }, (_, index) => Math.floor(index / 37) ** 2);
const few = Float32Array.from(noise(2000, 33), (byte) => byte % 5);

/** For every codec, as every type of `sampleTypes`. */
export const samples: Record<string, Buffer> = {
  weights: bytesOfArray(weights(2000, 34)),
  halves: bytesOfArray(bfloat16(weights(3000, 35))),
  zeros: bytesOfArray(zeros),
  blocks: Buffer.concat([Buffer.alloc(9000), noise(200, 36), Buffer.alloc(2000)]),
  around: bytesOfArray(around),
  doubles: bytesOfArray(Float64Array.from(around)),
  nearHalves: bytesOfArray(bfloat16(around)),
  runs: bytesOfArray(runs),
  few: bytesOfArray(few),
  counts: bytesOfArray(Int32Array.from({ length: 3000 }, (_, index) => 3 * index - 4000)),
  noise: noise(5003, 37),
  long: bytesOfArray(Int16Array.from({ length: 40_001 }, (_, index) => index % 700)),
  constant: Buffer.alloc(1001, 7),
  short: Buffer.of(1, 2, 3),
  empty: Buffer.alloc(0),
};

export const sampleTypes = [
  "uint8",
  "int16",
  "bfloat16",
  "int32",
  "float32",
  "int64",
  "float64",
  "complex64",
  "complex128",
  "int4",
] as const;

const plain = plainWeights(9000, 40);
const spread = noise(9000, 41);
const words = "tensors lie in chunks under one index that readers pin and writers append to".split(" ");
const phrases = Array.from({ length: 12 }, (_, index) => noise(40, 100 + index));
const verses = Array.from({ length: 6 }, (_, index) => shuffled(phrases, 10, 200 + index));
const tiles = Array.from({ length: 400 }, (_, index) => noise(24, 300 + index));
const records = Array.from({ length: 200 }, (_, index) => [
  Buffer.from("a field of fixed form "),
  noise(3, index),
  Buffer.from(" and its trailer"),
  noise(1 + (index % 2) * 20, index),
]);

/** For every codec, as the type that they are of. */
export const typedSamples: Record<string, { readonly type: string; readonly bytes: Buffer }> = {
  plain: { type: "float32", bytes: bytesOfArray(plain) },
  plainHalves: { type: "bfloat16", bytes: bytesOfArray(bfloat16(plain)) },
  heldHalves: {
    type: "float32",
    bytes: bytesOfArray(Uint32Array.from(bfloat16(plain), (half) => half * 65_536)),
  },
  // Sign, an exponent of 11 to 15, ten bits of noise.
  float16: {
    type: "float16",
    bytes: bytesOfArray(
      Uint16Array.from(plain, (value, index) => {
        const exponent = 39 - Math.clz32(spread[index]! | 16);
        return (value < 0 ? 0x8000 : 0) | (exponent << 10) | ((index * 613) % 1024);
      }),
    ),
  },
  float8: { type: "float8_e4m3fn", bytes: Buffer.from(bfloat16(plain).map((half) => half >> 4)) },
  twoBlocks: {
    type: "uint8",
    bytes: Buffer.from(bfloat16(plainWeights(140_001, 42)).map((half) => half >> 8)),
  },
  text: {
    type: "uint8",
    bytes: shuffled(
      words.map((word) => Buffer.from(`${word} `)),
      4000,
      43,
    ),
  },
  tokens: {
    type: "int64",
    bytes: bytesOfArray(BigInt64Array.from(noise(4000, 44), (byte) => [-3n, 5n, 70_000n, 9n][byte % 4]!)),
  },
  palettes: {
    type: "float32",
    bytes: bytesOfArray(
      Float32Array.from(
        noise(6000, 45),
        (byte, index) => (byte % 120) * [1.1, 2.3, 7.7, 9.1][Math.floor(index / 1500)]!,
      ),
    ),
  },
  published: { type: "uint8", bytes: Buffer.alloc(40 * 251, noise(251, 46)) },
  period: { type: "uint8", bytes: Buffer.concat([Buffer.alloc(10_010, noise(300, 47)), noise(11, 48)]) },
  nested: { type: "uint8", bytes: shuffled(verses, 300, 49) },
  tiles: {
    type: "uint8",
    bytes: Buffer.concat(
      Array.from({ length: 3000 }, (_, index) => tiles[(index * 7919 + (index >> 3)) % 400]!),
    ),
  },
  records: { type: "uint8", bytes: Buffer.concat(records.flat()) },
};
