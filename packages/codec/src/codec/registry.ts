/**
 * The codecs. Adding one is a file and a line here. Codes are on disk: never reuse or renumber one. `none` is
 * no codec: it is the empty chain.
 */
import { UsageError } from "../errors/errors.ts";
import { bitshuffle } from "./bitshuffle.ts";
import { bpe } from "./bpe.ts";
import { brotli } from "./brotli.ts";
import { cluster } from "./cluster.ts";
import type { Codec } from "./codec.ts";
import { context } from "./context.ts";
import { delta } from "./delta.ts";
import { entropy } from "./entropy.ts";
import { gzip } from "./gzip.ts";
import { hierarchical } from "./hierarchical.ts";
import { ladder } from "./ladder.ts";
import { lz4 } from "./lz4.ts";
import { patch } from "./patch.ts";
import { pattern251 } from "./pattern251.ts";
import { planes } from "./planes.ts";
import { rle } from "./rle.ts";
import { sibling } from "./sibling.ts";
import { sparse } from "./sparse.ts";
import { xor } from "./xor.ts";
import { zstd } from "./zstd.ts";

/** The codecs that code a chunk by itself, which chains are made of, in the order of their codes. */
export const codecs: readonly Codec[] = [
  gzip,
  lz4,
  zstd,
  brotli,
  planes,
  entropy,
  ladder,
  bitshuffle,
  delta,
  rle,
  bpe,
  sparse,
  cluster,
  pattern251,
  hierarchical,
  context,
];

/** The codecs that code a chunk against another one: only as the first step of a frame that names that one. */
export const siblingCodecs: readonly Codec[] = [sibling, xor, patch];

const byId = new Map<string, Codec>(codecs.map((codec) => [codec.id, codec]));
const byCode = new Map<number, Codec>([...codecs, ...siblingCodecs].map((codec) => [codec.code, codec]));

/**
 * The codec of this id, one that codes a chunk by itself. Throws `UsageError` naming `field` when there is
 * none.
 */
export function codecOf(id: string, field = "codec"): Codec {
  const found = byId.get(id);
  if (found === undefined) {
    if (siblingCodecs.some((codec) => codec.id === id)) {
      throw new UsageError(
        field,
        `codec ${JSON.stringify(id)} codes a chunk against another one, so it cannot be asked for; auto lossless and auto archive take it where it saves`,
      );
    }
    throw new UsageError(
      field,
      `unknown codec ${JSON.stringify(id)}; known: none, ${[...byId.keys()].join(", ")}`,
    );
  }
  return found;
}

/** The codec of a code read from disk; undefined when this version does not know it. */
export function codecOfCode(code: number): Codec | undefined {
  return byCode.get(code);
}
