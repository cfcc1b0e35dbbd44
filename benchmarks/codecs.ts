/**
 * Every codec and the lossless presets over 32 MiB of normal weights (and trained ones, where there are any), frame by frame, one thread, into memory that
 * is used again: ratio, speed both ways, and how many times faster than zstd -3 of the same bytes in the same rounds.
 */
import { readFileSync } from "node:fs";
import {
  codecs as allCodecs,
  builtinPresets,
  type CodecPolicy,
  dtypeOf,
  parsePolicy,
  ready,
} from "@tensorcask/codec";
import { bufferSource, planSource } from "@tensorcask/core";
import { chunksOf, FrameBench, generateSample } from "@tensorcask/samples";
import { type Benchmark, left, right, type Setting, type Table } from "./benchmark.ts";
import { orderZeroBounds } from "./bounds.ts";
import { codecPeers, REFERENCE } from "./codec-peers.ts";
import { seededModel } from "./normal.ts";
import { findRealModels } from "./real-files.ts";
import { collectGarbage, median, megabytesPerSecond, seconds, speedup, times } from "./timing.ts";

const SMALL_MEBIBYTES = 8;
const LARGE_MEBIBYTES = 32;
const SMALL_ROUNDS = 5;
const LARGE_ROUNDS = 5;

/** Coders below this many MB/s are measured once on the first bytes: they are no contenders for speed. */
const SLOW_MEGABYTES = 40;
const TRIED_BYTES = 2 ** 20;
/** What takes longer for them cannot be fast, warm or not. */
const WARMED_SECONDS = 1;

interface Input {
  readonly name: string;
  readonly dtype: string;
  readonly bytes: Uint8Array;
}

interface Coder {
  readonly name: string;
  readonly policy: CodecPolicy;
}

/** What TARGETS ask of a preset on an input: the ratio, and speeds in multiples of zstd -3. */
interface Target {
  readonly preset: "lossless" | "lossless-fast";
  readonly ratio: number;
}

const targets: Readonly<Record<string, readonly Target[]>> = {
  "bf16 normals": [
    { preset: "lossless", ratio: 1.524 },
    { preset: "lossless-fast", ratio: 1.508 },
  ],
  "bf16 trained": [
    { preset: "lossless", ratio: 1.521 },
    { preset: "lossless-fast", ratio: 1.506 },
  ],
  "fp32 normals": [
    { preset: "lossless", ratio: 1.208 },
    { preset: "lossless-fast", ratio: 1.202 },
  ],
  "fp32 holding bf16": [
    { preset: "lossless", ratio: 3.045 },
    { preset: "lossless-fast", ratio: 3.01 },
  ],
  "fp16 normals": [
    { preset: "lossless", ratio: 1.188 },
    { preset: "lossless-fast", ratio: 1.178 },
  ],
  "fp8 e4m3 normals": [{ preset: "lossless", ratio: 1.232 }],
};

/** How many times faster than zstd -3 the presets shall be, both ways. */
const targetSpeedup = { lossless: 3, "lossless-fast": 6 } as const;

/** The elements of a seeded model's matrices. */
async function normals(
  setting: Setting,
  dtype: "bfloat16" | "float16" | "float32",
  mebibytes: number,
): Promise<Uint8Array> {
  const { path, tensors } = await seededModel(setting, dtype, mebibytes);
  const file = readFileSync(path);
  const matrices = tensors.filter(({ shape }) => shape.length > 1);
  return Buffer.concat(matrices.map(({ offset, bytes }) => file.subarray(offset, offset + bytes)));
}

/** bfloat16 words as the upper halves of float32. */
function widened(bf16: Uint8Array): Uint8Array {
  const halves = new Uint16Array(bf16.slice().buffer);
  const words = new Uint32Array(halves.length);
  for (let at = 0; at < halves.length; at++) words[at] = halves[at]! * 65_536;
  return new Uint8Array(words.buffer);
}

/** All bfloat16 tensors of the largest trained model; undefined where there is none. */
async function trained(): Promise<Uint8Array | undefined> {
  const { models } = findRealModels();
  const own = models.filter(({ family }) => family.startsWith("trained") || family === "examples");
  const [largest] = own.toSorted((a, b) => b.bytes - a.bytes);
  if (largest === undefined) return undefined;
  const file = readFileSync(largest.path);
  const { plan } = await planSource(bufferSource(largest.path, file), largest.path);
  const tensors = plan.parts.filter((part) => part.kind === "tensor" && part.dtype.name === "bfloat16");
  return Buffer.concat(tensors.map(({ offset, bytes }) => file.subarray(offset, offset + bytes)));
}

async function inputs(setting: Setting, mebibytes: number): Promise<Input[]> {
  const bf16 = await normals(setting, "bfloat16", mebibytes);
  const weights = await trained();
  return [
    { name: "bf16 normals", dtype: "bfloat16", bytes: bf16 },
    ...(weights === undefined ? [] : [{ name: "bf16 trained", dtype: "bfloat16", bytes: weights }]),
    { name: "fp32 normals", dtype: "float32", bytes: await normals(setting, "float32", mebibytes) },
    { name: "fp32 holding bf16", dtype: "float32", bytes: widened(bf16.subarray(0, bf16.length / 2)) },
    { name: "fp16 normals", dtype: "float16", bytes: await normals(setting, "float16", mebibytes) },
    {
      name: "fp8 e4m3 normals",
      dtype: "float8_e4m3fn",
      bytes: (await generateSample("weights-fp8", 8, mebibytes * 2 ** 20)).data,
    },
  ];
}

/** The lossless presets, then every codec by itself with its defaults, then what the presets' chains are made of. */
function coders(): Coder[] {
  const presets = builtinPresets
    .filter(({ lossless }) => lossless)
    .map(({ name, codec }) => ({ name: `preset ${name}`, policy: codec }));
  const single = allCodecs.map(({ id }) => ({ name: id, policy: parsePolicy(id) }));
  const chains = [
    ["planes", { id: "zstd", level: 3 }],
    ["bitshuffle", { id: "zstd", level: 3 }],
    ["delta", "planes"],
  ].map((chain) => ({
    name: chain.map((step) => (typeof step === "string" ? step : step.id)).join("+"),
    policy: parsePolicy(chain),
  }));
  return [...presets, ...single, ...chains];
}

interface Measured {
  readonly coder: string;
  readonly ratio: number;
  /** What was coded in `encode` seconds. */
  readonly bytes: number;
  readonly encode: readonly number[];
  readonly decode: readonly number[];
}

/** A coder as it is raced: each direction once. */
interface Racer {
  readonly name: string;
  readonly bytes: number;
  readonly encode: () => Promise<void> | void;
  readonly decode: () => Promise<void> | void;
}

async function measure(setting: Setting, input: Input, rounds: number): Promise<Measured[]> {
  const chunks = chunksOf(input.dtype, input.bytes);
  const bench = new FrameBench(chunks);
  const racers: Racer[] = [];
  const slow: Measured[] = [];
  for (const peer of await codecPeers(input.bytes, dtypeOf(input.dtype).bits / 8)) {
    const encode = await seconds(peer.encode);
    if (input.bytes.length / 1e6 / encode > SLOW_MEGABYTES) racers.push(peer);
    else slow.push(await onceMeasured(peer, input, encode));
  }
  for (const coder of coders()) {
    setting.say(`codecs: ${input.name}, ${coder.name}`);
    const tried = await tryOut(input, coder);
    if (tried !== undefined) {
      slow.push(tried);
      continue;
    }
    const { name, policy } = coder;
    const bytes = bench.encode(policy);
    bench.check(`${input.name} ${name}`);
    racers.push({ name, bytes, encode: () => void bench.encode(policy), decode: () => bench.decode() });
  }
  const times = racers.map(() => ({ encode: [] as number[], decode: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    collectGarbage();
    for (const [index, { encode, decode }] of racers.entries()) {
      times[index]!.encode.push(await seconds(encode));
      times[index]!.decode.push(await seconds(decode));
    }
  }
  const raced = racers.map(({ name, bytes }, index) => ({
    coder: name,
    ratio: input.bytes.length / bytes,
    bytes: input.bytes.length,
    ...times[index]!,
  }));
  return [...raced, ...slow];
}

/** A peer too slow for the race, by what it took once. */
async function onceMeasured(peer: Racer, input: Input, encode: number): Promise<Measured> {
  const decode = await seconds(peer.decode);
  const bytes = input.bytes.length;
  return {
    coder: `${peer.name} **`,
    ratio: bytes / peer.bytes,
    bytes,
    encode: [encode],
    decode: [decode],
  };
}

/** What a coder does to the beginning of an input, when it is too slow for the race. */
async function tryOut(input: Input, { name, policy }: Coder): Promise<Measured | undefined> {
  const part = input.bytes.subarray(0, Math.min(TRIED_BYTES, input.bytes.length));
  const bench = new FrameBench(chunksOf(input.dtype, part));
  let bytes = 0;
  const code = (): void => {
    bytes = bench.encode(policy);
  };
  let encode = await seconds(code);
  bench.check(`${input.name} ${name}`);
  if (encode < WARMED_SECONDS) encode = await seconds(code);
  const decode = await seconds(() => bench.decode());
  if (part.length / 1e6 / Math.max(encode, decode) > SLOW_MEGABYTES) return undefined;
  const bytesTried = part.length;
  return {
    coder: `${name} *`,
    ratio: bytesTried / bytes,
    bytes: bytesTried,
    encode: [encode],
    decode: [decode],
  };
}

function table(input: Input, all: readonly Measured[]): Table {
  const peer = all.find(({ coder }) => coder === REFERENCE)!;
  const factor = (one: Measured, way: "encode" | "decode"): string =>
    times(speedup(one[way], peer[way]) * (one.bytes / peer.bytes));
  return {
    title: `${input.name}: ${(input.bytes.length / 2 ** 20).toFixed(1)} MiB of ${input.dtype}`,
    columns: [
      left("codec"),
      right("ratio"),
      right("encode MB/s"),
      right("decode MB/s"),
      right("encode / zstd -3"),
      right("decode / zstd -3"),
    ],
    rows: [
      ...orderZeroBounds(input.dtype, input.bytes).map(({ name, bytes }) => [
        name,
        (input.bytes.length / bytes).toFixed(4),
        ...["", "", "", ""],
      ]),
      ...all.map((one) => [
        one.coder,
        one.ratio.toFixed(4),
        megabytesPerSecond(one.bytes, median(one.encode)),
        megabytesPerSecond(one.bytes, median(one.decode)),
        factor(one, "encode"),
        factor(one, "decode"),
      ]),
    ],
  };
}

function targetRows(input: Input, all: readonly Measured[]): string[][] {
  const peer = all.find(({ coder }) => coder === REFERENCE)!;
  return (targets[input.name] ?? []).flatMap(({ preset, ratio }) => {
    const found = all.find(({ coder }) => coder === `preset ${preset}`);
    if (found === undefined) return [];
    const wanted = targetSpeedup[preset];
    const encode = speedup(found.encode, peer.encode);
    const decode = speedup(found.decode, peer.decode);
    const isMet = found.ratio >= ratio && encode >= wanted && decode >= wanted;
    return [
      [
        ...[input.name, preset, ratio.toFixed(3), found.ratio.toFixed(4), times(wanted)],
        ...[times(encode), times(decode), isMet ? "met" : "not met"],
      ],
    ];
  });
}

export const codecs: Benchmark = {
  name: "codecs",
  description:
    "every codec and the lossless presets: ratio and speed beside zstd, byte planes + zstd, Blosc and the order-0 bounds",
  async run(setting) {
    await ready();
    const mebibytes = setting.full ? LARGE_MEBIBYTES : SMALL_MEBIBYTES;
    const rounds = setting.full ? LARGE_ROUNDS : SMALL_ROUNDS;
    const tables: Table[] = [];
    const met: string[][] = [];
    for (const input of await inputs(setting, mebibytes)) {
      const all = await measure(setting, input, rounds);
      tables.push(table(input, all));
      met.push(...targetRows(input, all));
    }
    tables.push({
      title: "Against the targets",
      columns: [
        ...[left("data"), left("preset"), right("ratio wanted"), right("ratio")],
        ...[right("speed wanted"), right("encode"), right("decode"), left("")],
      ],
      rows: met,
      notes: [
        "speeds in multiples of zstd -3 (node:zlib, the whole input in one call), medians of the ratios within rounds",
        `one thread; chunks of 131,072 elements, one frame each, header and checksum included; medians of ${rounds} rounds`,
        `*: below ${SLOW_MEGABYTES} MB/s; the first MiB, once; **: peers below that, all of it, once`,
        "every frame was decoded and compared before anything was timed",
      ],
    });
    return tables;
  },
};
