/**
 * The tensors of a planned file as streams of row-major, little-endian elements, whatever way they lie in it: what an import stores, without
 * a store.
 */
import type { JsonObject } from "../model/entry.ts";
import { layoutCode } from "../model/part-layout.ts";
import type { FilePlan, PlanPart, Source } from "../model/plan.ts";
import { DerivedBytes } from "../store/derived-bytes.ts";
import { laidOutBytes } from "../store/laid-out-bytes.ts";
import { LAYOUT_BLOCK_BYTES } from "../store/layout-blocks.ts";
import type { ReadBytes } from "../store/tensor-bytes.ts";
import type { OutputTensor } from "./writer.ts";

/** Bytes of one piece of elements: whole elements of every dtype that has whole bytes. */
const PIECE_BYTES = 1024 * 1024;

/** A tensor of a file. `bytes`: of all elements. */
export interface FileTensor extends OutputTensor {
  readonly bytes: number;
  /** What the file says about this tensor. */
  readonly metadata?: JsonObject;
}

/**
 * The tensors of a file: its parts in the order of the file, then the derived ones. `open` gives the file when elements are asked for; closing it
 * is up to the caller. `elements` throws `InvalidFileError` where the file does not hold what its plan promised.
 */
export function tensorsOfFile(
  { parts, derived = [] }: FilePlan,
  open: () => Promise<Source>,
): readonly FileTensor[] {
  const placed = parts.flatMap((part) => (part.kind === "tensor" ? [part] : []));
  return [
    ...placed.map((part) => ({ ...factsOf(part), elements: () => partElements(part, open) })),
    ...derived.map((tensor) => ({
      ...factsOf(tensor),
      async *elements() {
        const bytes = new DerivedBytes(tensor, await open(), () => undefined);
        try {
          yield* pieces(bytes.first, tensor.bytes);
        } finally {
          await bytes.close();
        }
      },
    })),
  ];
}

function factsOf({
  name,
  dtype,
  shape,
  bytes,
  metadata,
}: Omit<FileTensor, "elements">): Omit<FileTensor, "elements"> {
  return { name, dtype, shape, bytes, ...(metadata !== undefined && { metadata }) };
}

async function* partElements(
  { dtype, shape, layout, offset, bytes }: PlanPart & { readonly kind: "tensor" },
  open: () => Promise<Source>,
): AsyncGenerator<Uint8Array> {
  const source = await open();
  const read: ReadBytes = (into, position) => source.read(into, offset + position);
  const stored = laidOutBytes(
    { first: read, again: read },
    dtype,
    shape,
    layoutCode(dtype, shape, layout),
    LAYOUT_BLOCK_BYTES,
  );
  // The first pass over a large tensor in column-major order would read it once more, for a hash that nobody takes here.
  yield* pieces(bytes > LAYOUT_BLOCK_BYTES ? stored.again : stored.first, bytes);
}

async function* pieces(read: ReadBytes, bytes: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(bytes, PIECE_BYTES));
  for (let at = 0; at < bytes; at += buffer.length) {
    const piece = buffer.subarray(0, bytes - at);
    await read(piece, at);
    yield piece;
  }
}
