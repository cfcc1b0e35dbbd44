/**
 * The codecs. Adding one is a file and a line here. Codes are on disk: never reuse or renumber one. Spoken
 * for by codecs to come: 6 entropy, 7 ladder, 10 sibling, 12 bpe, 15 pattern251, 16 hierarchical. `none` is no codec: it is the empty chain.
 */
import { UsageError } from "../errors/errors.ts";
import { bitshuffle } from "./bitshuffle.ts";
import { brotli } from "./brotli.ts";
import { cluster } from "./cluster.ts";
import type { Codec } from "./codec.ts";
import { delta } from "./delta.ts";
import { gzip } from "./gzip.ts";
import { lz4 } from "./lz4.ts";
import { planes } from "./planes.ts";
import { rle } from "./rle.ts";
import { sparse } from "./sparse.ts";
import { zstd } from "./zstd.ts";

/** All codecs, in the order of their codes. */
export const codecs: readonly Codec[] = [
  gzip,
  lz4,
  zstd,
  brotli,
  planes,
  bitshuffle,
  delta,
  rle,
  sparse,
  cluster,
];

const byId = new Map<string, Codec>(codecs.map((codec) => [codec.id, codec]));
const byCode = new Map<number, Codec>(codecs.map((codec) => [codec.code, codec]));

/** The codec of this id. Throws `UsageError` naming `field` when there is none. */
export function codecOf(id: string, field = "codec"): Codec {
  const found = byId.get(id);
  if (found === undefined) {
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
