/**
 * What every plan must keep before anything of it is stored: a mistake in a parser is an error then, not a store that gives other bytes back.
 * One pass, nothing allocated per part but its name's place in a set.
 */
import { byteLength, type DType, InvalidFileError, TensorcaskError } from "@tensorcask/codec";
import { canBeLaidOut } from "../model/part-layout.ts";
import type { DerivedTensor, PlanPart } from "../model/plan.ts";
import { checkMetadata } from "../store/metadata.ts";

/** What parts and derived tensors have in common. */
type PlannedTensor = Pick<DerivedTensor, "name" | "dtype" | "shape" | "bytes" | "metadata">;

/**
 * Checks the parts of the file `file` of `bytes` bytes, and its derived tensors. Throws `InvalidFileError`:
 *
 *   parts      they leave a hole, overlap, or end elsewhere than the file
 *   shape      an axis is no length, or the tensor has too many elements
 *   size       the bytes are not what dtype and shape ask for
 *   layout     elements that cannot lie in any other way
 *   name       a name occurs twice, or is no text that can be kept
 *   metadata   it is not JSON that can be kept
 */
export function checkPlan(
  file: string,
  bytes: number,
  parts: readonly PlanPart[],
  derived: readonly DerivedTensor[] = [],
): void {
  const names = new Set<string>();
  let reached = 0;
  for (const part of parts) {
    if (part.offset !== reached || !Number.isSafeInteger(part.bytes) || part.bytes < 0) {
      const message = `a part of ${part.bytes} bytes at ${part.offset}, where the part before ends at ${reached}`;
      throw new InvalidFileError(file, "parts", message, part.kind === "tensor" ? { tensor: part.name } : {});
    }
    reached += part.bytes;
    if (part.kind === "literal") continue;
    checkTensor(file, part, names);
    if (part.layout !== undefined && !canBeLaidOut(part.dtype)) {
      throw wrong(file, part.name, "layout", `${part.dtype.name} lies in one way only`);
    }
  }
  if (reached !== bytes) {
    throw new InvalidFileError(file, "parts", `its parts end at ${reached}, the file at ${bytes}`);
  }
  for (const tensor of derived) checkTensor(file, tensor, names);
}

function checkTensor(file: string, tensor: PlannedTensor, names: Set<string>): void {
  const { name, dtype, shape, bytes, metadata } = tensor;
  const expected = bytesOf(dtype, shape);
  if (expected !== bytes) {
    const what = `${dtype.name} of shape [${shape.join(", ")}]`;
    if (expected === undefined) throw wrong(file, name, "shape", `there is no ${what}`);
    throw wrong(file, name, "size", `${what} has ${expected} bytes, the file gives it ${bytes}`);
  }
  if (!name.isWellFormed()) throw wrong(file, name, "name", "its name has half of a surrogate pair");
  if (names.has(name)) throw wrong(file, name, "name", "two tensors of the file have this name");
  names.add(name);
  if (metadata === undefined) return;
  try {
    checkMetadata(metadata);
  } catch (error) {
    if (!(error instanceof TensorcaskError)) throw error;
    throw wrong(file, name, "metadata", error.message);
  }
}

function wrong(file: string, tensor: string, rule: string, message: string): InvalidFileError {
  return new InvalidFileError(file, rule, message, { tensor });
}

/** Bytes of a tensor; undefined when there can be none of that shape. */
function bytesOf(dtype: DType, shape: readonly number[]): number | undefined {
  try {
    return byteLength(dtype, shape);
  } catch (error) {
    if (error instanceof TensorcaskError) return undefined;
    throw error;
  }
}
