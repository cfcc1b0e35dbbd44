/**
 * Packs small arrays into bundles: one open bundle per dtype and codec policy, closed when the next array would not fit.
 */
import { type CodecPolicy, MAX_BUNDLE_BYTES } from "@tensorcask/codec";
import type { PendingArray } from "./pending.ts";

/** A full bundle: the bytes of a chunk, and the arrays in it with their offsets. */
export interface ClosedBundle {
  readonly dtype: number;
  readonly policy: CodecPolicy;
  readonly bytes: Uint8Array;
  readonly slots: readonly { readonly array: PendingArray; readonly offset: number }[];
}

interface OpenBundle {
  readonly dtype: number;
  readonly policy: CodecPolicy;
  readonly parts: Uint8Array[];
  readonly slots: { array: PendingArray; offset: number }[];
  bytes: number;
}

export class Bundler {
  readonly #open = new Map<CodecPolicy, Map<number, OpenBundle>>();

  /** Adds a small array; returns a bundle that it filled, if any. */
  add(array: PendingArray, bytes: Uint8Array, policy: CodecPolicy): ClosedBundle | undefined {
    let byDtype = this.#open.get(policy);
    if (byDtype === undefined) {
      byDtype = new Map();
      this.#open.set(policy, byDtype);
    }
    let bundle = byDtype.get(array.dtype);
    let closed: ClosedBundle | undefined;
    if (bundle !== undefined && bundle.bytes + bytes.length > MAX_BUNDLE_BYTES) {
      closed = close(bundle);
      bundle = undefined;
    }
    if (bundle === undefined) {
      bundle = { dtype: array.dtype, policy, parts: [], slots: [], bytes: 0 };
      byDtype.set(array.dtype, bundle);
    }
    bundle.slots.push({ array, offset: bundle.bytes });
    bundle.parts.push(bytes);
    bundle.bytes += bytes.length;
    return closed;
  }

  /** Closes all open bundles. */
  finish(): ClosedBundle[] {
    const closed = [...this.#open.values()].flatMap((byDtype) => [...byDtype.values()].map(close));
    this.#open.clear();
    return closed;
  }
}

function close(bundle: OpenBundle): ClosedBundle {
  const bytes = new Uint8Array(bundle.bytes);
  for (const [index, slot] of bundle.slots.entries()) bytes.set(bundle.parts[index]!, slot.offset);
  return { dtype: bundle.dtype, policy: bundle.policy, bytes, slots: bundle.slots };
}
