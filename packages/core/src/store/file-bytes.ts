/**
 * The bytes of stored files: the source bytes of their parts, one after the other, each laid out as it lay in the file. Parts that are stored
 * as they are go through one stream of chunks, so that reading ahead does not stop at every small tensor; quantized ones are decoded
 * tensor by tensor, and so are those of column-major order.
 */
import { byteLength, DamageError, type DType, dtypeOfCode } from "@tensorcask/codec";
import type { FileRow, StoredTensor } from "../catalog/catalog.ts";
import { AS_STORED, BIG_ENDIAN, COLUMN_MAJOR, componentBytes } from "../model/part-layout.ts";
import { idsOf } from "../model/runs.ts";
import { eachColumnMajor } from "./column-major.ts";
import type { StoreContext } from "./context.ts";
import type { DatasetView } from "./dataset-view.ts";
import { swapByteOrder } from "./reverse-axes.ts";
import type { LongCallOptions } from "./types.ts";

/** Chunks are listed up to this many at once. */
const CHUNKS_AT_ONCE = 65_536;

/** Gets a file's bytes in order; `bytes` is only valid until the visit is over. */
export type VisitFileBytes = (bytes: Uint8Array, offset: number) => Promise<void> | void;

/** A stretch of chunks, some of them only in part: small tensors lie in slots of bundles. */
class ChunkStretch {
  readonly ids: number[] = [];
  readonly #slots = new Map<number, { readonly from: number; readonly to: number }>();
  /** For each chunk, how many bytes change their order together; 1: none. */
  readonly #components: number[] = [];

  add(tensor: StoredTensor, component: number): void {
    const place = tensor.arrays[0]?.place;
    if (place === undefined) throw new DamageError("catalog", `tensor ${tensor.id} has no values`);
    if ("bundle" in place) {
      this.#slots.set(this.ids.length, {
        from: place.offset,
        to: place.offset + byteLength(dtypeOfTensor(tensor), tensor.shape),
      });
      this.ids.push(place.bundle);
      this.#components.push(component);
    } else {
      for (const id of idsOf(place.runs)) {
        this.ids.push(id);
        this.#components.push(component);
      }
    }
  }

  /** What of a chunk belongs to the stretch. */
  part(index: number, chunk: Uint8Array): Uint8Array {
    const slot = this.#slots.get(index);
    if (slot !== undefined && slot.to > chunk.length)
      throw new DamageError("catalog", "a tensor lies beyond its bundle");
    return swapped(slot === undefined ? chunk : chunk.subarray(slot.from, slot.to), this.#components[index]!);
  }
}

/** Bytes in the other order. What is read belongs to the reader, so they are a copy. */
function swapped(bytes: Uint8Array, component: number): Uint8Array {
  if (component === 1) return bytes;
  const copy = bytes.slice();
  swapByteOrder(copy, component);
  return copy;
}

function dtypeOfTensor({ dtype: code }: StoredTensor): DType {
  const dtype = dtypeOfCode(code);
  if (dtype === undefined) throw new DamageError("catalog", `dtype code ${code} is not known`);
  return dtype;
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
  for (const [index, id] of file.parts.entries()) {
    const tensor = context.storedTensor(id);
    const layout = file.layouts?.[index] ?? AS_STORED;
    const component = (layout & BIG_ENDIAN) === 0 ? 1 : componentBytes(dtypeOfTensor(tensor));
    if ((layout & COLUMN_MAJOR) !== 0) {
      await flush();
      const elementBytes = dtypeOfTensor(tensor).bits / 8;
      const reader = view.reader(tensor, { signal });
      await eachColumnMajor(reader, elementBytes, context.parts.layoutBlockBytes, (bytes) => {
        swapByteOrder(bytes, component);
        return take(bytes);
      });
    } else if (tensor.quantization === undefined) {
      stretch.add(tensor, component);
      if (stretch.ids.length >= CHUNKS_AT_ONCE) await flush();
    } else {
      await flush();
      await view.reader(tensor, { signal }).each((bytes) => take(swapped(bytes, component)));
    }
  }
  await flush();
}
