import { test } from "node:test";
import assert from "node:assert";
import { codecs, dtypeOf, ready } from "@tensorcask/codec";
import { decodeStep } from "./format-spec/codecs.ts";
function noise(count: number, seed: number): Buffer { const bytes = Buffer.alloc(count); for (let i = 0, s = seed; i < count; i++) { s = (Math.imul(s, 1664525) + 1013904223) >>> 0; bytes[i] = s >>> 24; } return bytes; }
function weights(count: number, seed: number): Float32Array { const b = noise(4 * count, seed); return Float32Array.from({ length: count }, (_, i) => ([0,1,2,3].reduce((a, k) => a + b[4*i+k]!, 0) - 510) / 4000); }
const B = (d: ArrayBufferView) => Buffer.from(d.buffer, d.byteOffset, d.byteLength);
const bf = (v: Float32Array) => Uint16Array.from(new Uint32Array(v.buffer), (w) => w >>> 16);
const zeros = weights(3000, 30).map((v, i) => (noise(3000, 31)[i]! < 235 ? 0 : v));
const around = weights(2000, 32).map((v, i) => v / 1e4 + [-3, 0.25, 1000][i % 3]!);
const base: Record<string, Buffer> = {
  weights: B(weights(2000, 34)), halves: B(bf(weights(3000, 35))), zeros: B(zeros), blocks: Buffer.concat([Buffer.alloc(9000), noise(200, 36), Buffer.alloc(2000)]),
  around: B(around), doubles: B(Float64Array.from(around)), nearHalves: B(bf(around)), runs: B(Float32Array.from({ length: 2000 }, (_, i) => Math.floor(i / 37) ** 2)),
  few: B(Float32Array.from(noise(2000, 33), (b) => b % 5)), counts: B(Int32Array.from({ length: 3000 }, (_, i) => 3 * i - 4000)), noise: noise(5003, 37),
  long: B(Int16Array.from({ length: 40001 }, (_, i) => i % 700)), constant: Buffer.alloc(1001, 7), short: Buffer.of(1,2,3), empty: Buffer.alloc(0),
};
const words = "tensor storage keeps chunks under one index while readers pin a version and writers append entries to the journal of packs".split(" ");
const text = (n: number, seed: number) => { const r = noise(n, seed); return Buffer.from([...r].map((b) => words[b % words.length]).join(" ")); };
const rows = Buffer.concat(Array.from({ length: 300 }, (_, i) => Buffer.concat([Buffer.from("record header of a fixed form "), noise(3, i), Buffer.from(" and its trailer, too"), noise(5, 2*i)])));
const pairs = noise(800, 3); const many = Array.from({ length: 400 }, (_, i) => noise(24, i + 9)); 
const tiles = Buffer.concat(Array.from({ length: 6000 }, (_, i) => many[(i * 7919 + (i >> 3)) % 400]!));
const extra: Record<string, Buffer> = process.env.EXTRA ? {
  text: text(3000, 5), rows, tiles, period: Buffer.concat(Array.from({length: 40}, () => noise(251, 77))), period2: Buffer.concat([...Array.from({length: 40}, () => noise(300, 77)), noise(11, 8)]),
  f16: B(Float16Array.from(weights(5000, 40))), many: B(weights(140_000, 41)), palettes: B(Float32Array.from({ length: 6000 }, (_, i) => Math.fround((noise(6000, 3)[i]! % 120) * [1.1, 2.3, 7.7, 9.1][Math.floor(i / 1500)]!))),
  tokens: B(BigInt64Array.from(noise(6000, 4), (b) => BigInt([-3, 5, 70000, 9][b % 4]!))),
} : {};
const nested = () => { const phr = Array.from({ length: 12 }, (_, i) => noise(40, 100 + i)); const seqs = Array.from({ length: 6 }, (_, i) => Buffer.concat([...noise(10, 200 + i)].map((b) => phr[b % 12]!))); return Buffer.concat([...noise(400, 9)].map((b) => seqs[b % 6]!)); };
if (process.env.EXTRA) extra.nested = nested();
const types = ["uint8","int16","bfloat16","int32","float32","int64","float64","complex64","complex128","int4", ...(process.env.EXTRA ? ["float16", "float8_e4m3fn"] : [])];
const variants: Record<string, object[]> = process.env.EXTRA ? { sparse: [{ skip: 3 }], cluster: [{ skip: 1 }], hierarchical: [{ adaptive: false }], bpe: [{ ids: "whole" }, {valueBytes: 8}] } : {};
test("all", async () => {
  await ready();
  for (const codec of codecs) { const t0 = Date.now();
    for (const [name, bytes] of Object.entries({ ...base, ...extra })) for (const type of types) for (const p of [{}, ...(variants[codec.id] ?? [])]) {
      if ((codec.id==="bpe" && name==="tiles") || bytes.length > (codec.id === "bpe" ? 60000 : 400000) && !["entropy","ladder"].includes(codec.id)) continue;
      const coded = codec.encode(Uint8Array.from(bytes), { dtype: dtypeOf(type) }, codec.parse(p as never));
      const out = decodeStep(codec.code, Buffer.from(coded), bytes.length);
      assert(out.equals(bytes), `${codec.id} ${name} ${type} ${JSON.stringify(p)}`);
    }
    console.log(codec.id, Date.now() - t0);
  }
});
