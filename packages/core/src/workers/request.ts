/** What a thread can be asked, and the one function that does it, in a worker or in the calling thread. */
import type { CodecPolicy } from "@tensorcask/codec";
import type { Slot } from "./slot.ts";
import {
  type ChunkRange,
  type DecodeFailure,
  type DecodeItem,
  decodeFrames,
  type EncodeItem,
  encodeChunks,
  hashChunks,
} from "./tasks.ts";

export type Request =
  | { readonly kind: "hash"; readonly slot: Slot; readonly ranges: readonly ChunkRange[] }
  | {
      readonly kind: "encode";
      readonly slot: Slot;
      readonly items: readonly EncodeItem[];
      readonly policy: CodecPolicy;
    }
  | {
      readonly kind: "decode";
      readonly slot: Slot;
      readonly items: readonly DecodeItem[];
      readonly rehash: boolean;
    };

export type Result<Kind extends Request["kind"]> = {
  hash: Uint8Array;
  encode: number[];
  decode: DecodeFailure[];
}[Kind];

export type Reply =
  | { readonly result: Uint8Array | number[] | DecodeFailure[] }
  | { readonly failure: string };

/** Runs a request in this thread. Codecs must be ready. */
export function run(request: Request): Uint8Array | number[] | DecodeFailure[] {
  switch (request.kind) {
    case "hash":
      return hashChunks(request.slot, request.ranges);
    case "encode":
      return encodeChunks(request.slot, request.items, request.policy);
    case "decode":
      return decodeFrames(request.slot, request.items, request.rehash);
  }
}
