/**
 * What is measured: the lossless presets and single codecs, chunk by chunk into frames, and beside them what people use else, over all bytes
 * in one call of node:zlib. One thread each.
 */
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import {
  codecs as allCodecs,
  type CodecPolicy,
  equalBytes,
  findBuiltinPreset,
  parsePolicy,
} from "@tensorcask/codec";
import { type ChainShare, type Chunk, FrameBench } from "./frames.ts";

/** Something that codes chunks. */
export interface Coder {
  readonly name: string;
  /** Takes what it needs of the chunks; nothing here is timed. */
  begin(chunks: readonly Chunk[]): Coding;
}

/** A coder with its input. */
export interface Coding {
  /** Codes everything; gives the bytes that came out. */
  encode(): number;
  /** Decodes what `encode` left. */
  decode(): void;
  /** Throws when something came back changed. */
  check(): void;
  /** The chains that were chosen for the chunks; undefined for what has none. */
  readonly chains: readonly ChainShare[] | undefined;
}

/** A codec policy over frames. */
export function frameCoder(name: string, policy: CodecPolicy): Coder {
  return {
    name,
    begin(chunks) {
      const bench = new FrameBench(chunks);
      return {
        encode: () => bench.encode(policy),
        decode: () => bench.decode(),
        check: () => bench.check(name),
        get chains() {
          return bench.chains;
        },
      };
    },
  };
}

function peer(
  name: string,
  encode: (bytes: Uint8Array) => Uint8Array,
  decode: (coded: Uint8Array) => Uint8Array,
): Coder {
  return {
    name,
    begin(chunks) {
      const bytes = Buffer.concat(chunks.map((chunk) => chunk.bytes));
      let coded = new Uint8Array();
      return {
        encode: () => {
          coded = new Uint8Array(encode(bytes));
          return coded.length;
        },
        decode: () => void decode(coded),
        check: () => {
          if (!equalBytes(decode(coded), bytes)) throw new Error(`${name}: the bytes came back changed`);
        },
        chains: undefined,
      };
    },
  };
}

function zstdPeer(level: number): Coder {
  const options = { params: { [constants.ZSTD_c_compressionLevel]: level } };
  return peer(`zstd -${level}`, (bytes) => zstdCompressSync(bytes, options), zstdDecompressSync);
}

/** zstd -3, zstd -19 and gzip -6. */
export const peerCoders: readonly Coder[] = [
  zstdPeer(3),
  zstdPeer(19),
  peer("gzip -6", (bytes) => gzipSync(bytes, { level: 6 }), gunzipSync),
];

/** The lossless presets that code. */
export const presetCoders: readonly Coder[] = ["lossless", "lossless-fast", "archive", "fast"].map((name) =>
  frameCoder(name, findBuiltinPreset(name)!.codec),
);

/** Every codec by itself with its defaults, then chains whose first step only prepares. */
export const codecCoders: readonly Coder[] = [
  ...allCodecs.map(({ id }) => frameCoder(id, parsePolicy(id))),
  ...[
    ["planes", { id: "zstd", level: 19 }],
    ["bitshuffle", { id: "zstd", level: 3 }],
    ["delta", "planes"],
    ["delta", "entropy"],
    ["delta", "zstd"],
    ["delta", "bitshuffle", "zstd"],
  ].map((chain) =>
    frameCoder(
      chain.map((step) => (typeof step === "string" ? step : `${step.id} -${step.level}`)).join("+"),
      parsePolicy(chain),
    ),
  ),
];
