/** Fills the holes between the tensors of a file with literals, so that a plan covers the file wholly. */
import { type DType, InvalidFileError } from "@tensorcask/codec";
import type { JsonObject } from "../model/entry.ts";
import type { PartLayout, PlanPart } from "../model/plan.ts";

/** A tensor that is a byte range of its file. Offset and size in bytes. */
export interface TensorPart {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
  readonly layout?: PartLayout;
  readonly metadata?: JsonObject;
}

/**
 * The parts of a file of `fileBytes` that holds these tensors, in any order, none beyond its end. Empty tensors
 * stand where they are, or behind the one that they would lie within. Throws `InvalidFileError` (rule `overlap`)
 * naming `file` and the tensor when two share bytes.
 */
export function coverWithParts(
  file: string,
  tensors: readonly TensorPart[],
  fileBytes: number,
): readonly PlanPart[] {
  const parts: PlanPart[] = [];
  let reached = 0;
  let before = "";
  for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (tensor.offset > reached) {
      parts.push({ kind: "literal", offset: reached, bytes: tensor.offset - reached });
      reached = tensor.offset;
    } else if (tensor.offset < reached && tensor.bytes > 0) {
      throw new InvalidFileError(
        file,
        "overlap",
        `its bytes begin at ${tensor.offset}, but ${JSON.stringify(before)} ends at ${reached}`,
        { tensor: tensor.name },
      );
    }
    parts.push({ kind: "tensor", ...tensor, offset: reached });
    reached += tensor.bytes;
    if (tensor.bytes > 0) before = tensor.name;
  }
  if (reached < fileBytes) parts.push({ kind: "literal", offset: reached, bytes: fileBytes - reached });
  return parts;
}
