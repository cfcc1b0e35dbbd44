/** Rows appended to a stored tensor: its whole chunks stay, only the last one is cut again. */
import {
  bytesOfElements,
  type CheckedTensor,
  type CodecPolicy,
  type DType,
  dtypeOfCode,
  ElementGeometry,
  elementCount,
  packElements,
  UsageError,
  unpackElements,
} from "@tensorcask/codec";
import type { StoredTensor } from "../catalog/catalog.ts";
import { idsOf, sliceRuns } from "../model/runs.ts";
import type { StoreContext } from "./context.ts";
import type { Draft, Ingest } from "./ingest.ts";
import { bytesInMemory } from "./tensor-bytes.ts";
import type { TensorReader } from "./tensor-reader.ts";

/** The shape after appending. Throws `UsageError` when the rows do not fit, or would be quantized twice. */
export function appendedShape(address: string, old: StoredTensor, added: CheckedTensor): number[] {
  const dtype = dtypeOfCode(old.dtype)!;
  if (old.quantization !== undefined) {
    const { quantizer } = old.quantization;
    throw new UsageError(
      "append",
      `${address} is stored as ${quantizer}: appending would quantize it twice; insert it whole`,
    );
  }
  if (added.dtype !== dtype) {
    throw new UsageError(
      "dtype",
      `${address} has ${dtype.name}, the rows to append have ${added.dtype.name}`,
    );
  }
  const [length, ...rest] = old.shape;
  if (length === undefined)
    throw new UsageError("append", `${address} is a scalar: it has no axis to append along`);
  if (added.shape.length !== old.shape.length || rest.some((size, axis) => size !== added.shape[axis + 1])) {
    throw new UsageError(
      "shape",
      `${address} has rows of shape [${rest}], those to append have [${added.shape.slice(1)}]`,
    );
  }
  return [length + added.shape[0]!, ...rest];
}

/** Takes in a tensor that begins with a stored one. The chunks that stay are referenced; the last one, if it is not full, is read and cut again. */
export async function appendRows(
  context: StoreContext,
  reader: TensorReader,
  old: StoredTensor,
  shape: readonly number[],
  added: Uint8Array,
  policy: CodecPolicy,
  ingest: Ingest,
): Promise<Draft> {
  const { dtype } = reader;
  const [values] = old.arrays;
  const { place } = values!;
  const { chunkElements } = context;
  if ("bundle" in place || (reader.elements * dtype.bits) % 8 !== 0 || reader.elements === 0) {
    const whole = joinElements(
      dtype,
      await reader.bytes(),
      reader.elements,
      added,
      elementCount(shape) - reader.elements,
    );
    return ingest.exact(bytesInMemory(whole).first, dtype, shape, policy);
  }
  const before = new ElementGeometry(dtype, old.shape, chunkElements);
  const after = new ElementGeometry(dtype, shape, chunkElements);
  let kept = before.chunkCount;
  while (kept > 0 && before.count(kept - 1) !== after.count(kept - 1)) kept -= 1;
  const ids = [...idsOf(sliceRuns(place.runs, 0, kept))];
  const hashes = context.catalog.chunks(sliceRuns(place.runs, 0, kept)).map((row) => row.hash);
  const keptBytes = kept === 0 ? 0 : before.byteRange(kept - 1).end;
  const tail = new Uint8Array(bytesOfElements(dtype, reader.elements) - keptBytes + added.length);
  let at = 0;
  await context.parts.reader.each(
    [...idsOf(sliceRuns(place.runs, kept, before.chunkCount))],
    (_index, bytes) => {
      tail.set(bytes, at);
      at += bytes.length;
    },
  );
  tail.set(added, at);
  return ingest.exact(bytesInMemory(tail).first, dtype, shape, policy, {
    ids,
    hashes,
    bytes: keptBytes,
    sketch: kept === 0 ? undefined : old.sketch,
  });
}

/** Elements behind elements: where the first ones end within a byte, the others begin there. */
function joinElements(
  dtype: DType,
  first: Uint8Array,
  firstCount: number,
  second: Uint8Array,
  secondCount: number,
): Uint8Array {
  if ((firstCount * dtype.bits) % 8 === 0) {
    const joined = new Uint8Array(first.length + second.length);
    joined.set(first);
    joined.set(second, first.length);
    return joined;
  }
  const elements = new Uint8Array(firstCount + secondCount);
  elements.set(unpackElements(first, dtype.bits, 0, firstCount));
  elements.set(unpackElements(second, dtype.bits, 0, secondCount), firstCount);
  return packElements(elements, dtype.bits);
}
