/** Where the bytes of a tensor come from while it is taken in. */

/** The bytes of one tensor. `first` is called for rising offsets, once over; `again` for any range after that. */
export interface TensorBytes {
  first(into: Uint8Array, offset: number): Promise<void>;
  again(into: Uint8Array, offset: number): Promise<void>;
}

/** Reads part of a tensor's bytes. */
export type ReadBytes = (into: Uint8Array, offset: number) => Promise<void>;

/** Bytes in memory. The caller must not change them until they are taken in. */
export function bytesInMemory(bytes: Uint8Array): TensorBytes {
  const read: ReadBytes = async (into, offset) => {
    into.set(bytes.subarray(offset, offset + into.length));
  };
  return { first: read, again: read };
}

/** Stored chunks that a tensor begins with: rows are being appended to it. */
export interface KeptChunks {
  readonly ids: readonly number[];
  readonly hashes: readonly Uint8Array[];
  readonly bytes: number;
  /** Sketch of the stored tensor, whose first chunk is the first one here, too. */
  readonly sketch?: Uint8Array | undefined;
}

export const NOTHING_KEPT: KeptChunks = { ids: [], hashes: [], bytes: 0 };

/** The parts, one behind the other. */
export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
