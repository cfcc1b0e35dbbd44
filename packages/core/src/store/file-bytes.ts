/**
 * The bytes of stored files: the source bytes of their parts, one after the other. Parts that are stored as they are go through one stream of
 * chunks, so that reading ahead does not stop at every small tensor; quantized ones are decoded tensor by tensor.
 */
import { byteLength, DamageError, dtypeOfCode } from "@tensorcask/codec";
import type { FileRow, StoredTensor } from "../catalog/catalog.ts";
import { idsOf } from "../model/runs.ts";
import type { StoreContext } from "./context.ts";
import type { DatasetView } from "./dataset-view.ts";
import type { LongCallOptions } from "./types.ts";

/** Chunks are listed up to this many at once. */
const CHUNKS_AT_ONCE = 65_536;

/** Gets a file's bytes in order; `bytes` is only valid until the visit is over. */
export type VisitFileBytes = (bytes: Uint8Array, offset: number) => Promise<void> | void;

/** A stretch of chunks, some of them only in part: small tensors lie in slots of bundles. */
class ChunkStretch {
  readonly ids: number[] = [];
  readonly #slots = new Map<number, { readonly from: number; readonly to: number }>();

  add(tensor: StoredTensor): void {
    const place = tensor.arrays[0]?.place;
    if (place === undefined) throw new DamageError("catalog", `tensor ${tensor.id} has no values`);
    if ("bundle" in place) {
      const dtype = dtypeOfCode(tensor.dtype);
      if (dtype === undefined) throw new DamageError("catalog", `dtype code ${tensor.dtype} is not known`);
      this.#slots.set(this.ids.length, {
        from: place.offset,
        to: place.offset + byteLength(dtype, tensor.shape),
      });
      this.ids.push(place.bundle);
    } else {
      for (const id of idsOf(place.runs)) this.ids.push(id);
    }
  }

  /** What of a chunk belongs to the stretch. */
  part(index: number, chunk: Uint8Array): Uint8Array {
    const slot = this.#slots.get(index);
    if (slot === undefined) return chunk;
    if (slot.to > chunk.length) throw new DamageError("catalog", "a tensor lies beyond its bundle");
    return chunk.subarray(slot.from, slot.to);
  }
}

/** Visits a file's bytes. */
export async function eachFileByte(
  context: StoreContext,
  view: DatasetView,
  file: FileRow,
  visit: VisitFileBytes,
  options: LongCallOptions = {},
): Promise<void> {
  const { signal } = options;
  let offset = 0;
  const take = async (bytes: Uint8Array): Promise<void> => {
    await visit(bytes, offset);
    offset += bytes.length;
  };
  let stretch = new ChunkStretch();
  const flush = async (): Promise<void> => {
    const { ids } = stretch;
    const flushed = stretch;
    stretch = new ChunkStretch();
    if (ids.length === 0) return;
    await context.parts.reader.each(ids, (index, chunk) => take(flushed.part(index, chunk)), { signal });
  };
  for (const id of file.parts) {
    const tensor = context.storedTensor(id);
    if (tensor.quantization === undefined) {
      stretch.add(tensor);
      if (stretch.ids.length >= CHUNKS_AT_ONCE) await flush();
    } else {
      await flush();
      await view.reader(tensor, { signal }).each(take);
    }
  }
  await flush();
}
