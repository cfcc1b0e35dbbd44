/**
 * From the tensors of a pickle to the plan of its file. A tensor that is a plain run of the file becomes a part;
 * others (compressed, scattered, sharing bytes with a part before them) are derived.
 */
import { InvalidFileError } from "@tensorcask/codec";
import type { JsonObject } from "../../model/entry.ts";
import { componentBytes } from "../../model/part-layout.ts";
import type { DerivedTensor, PartLayout, PlanPart, Source } from "../../model/plan.ts";
import type { FormatPlan } from "../format.ts";
import { wholeElements } from "../npz/row-major.ts";
import { checkStrided, elementBytes, elementsOf, gather, orderOf, type StridedTensor } from "./strided.ts";

/** A tensor with the name that its place in the pickle gives it. */
export interface NamedTensor {
  readonly name: string;
  readonly tensor: StridedTensor;
  readonly metadata?: JsonObject;
}

/**
 * Bytes of all derived tensors of a file, by the size of the file: an element can be repeated without end, so that
 * a few bytes would become terabytes. Second names of all weights, several times over, stay far below.
 */
const MAX_DERIVED_RATIO = 16;
/** What small files may derive in any case. */
const MIN_DERIVED_BYTES: number = 1024 * 1024;

/** A tensor that is a run of the file. */
type Placed = PlanPart & { readonly kind: "tensor" };

/**
 * Checks and places tensors whose names are unique. Where runs overlap, the one that begins first is the part, of
 * those the longest, of those a row-major one, of those the first in the list. Throws `InvalidFileError`: as `checkStrided`, and `expanded`.
 */
export function placeTensors(
  file: string,
  fileBytes: number,
  tensors: readonly NamedTensor[],
): Pick<FormatPlan, "parts" | "derived"> {
  const runs: { readonly part: Placed; readonly found: NamedTensor }[] = [];
  const derived: DerivedTensor[] = [];
  for (const found of tensors) {
    checkStrided(file, found.name, found.tensor);
    const part = runOf(found);
    if (part === undefined) derived.push(derive(found));
    else runs.push({ part, found });
  }
  // An empty tensor comes before the one that begins where it lies.
  const rank = ({ bytes }: Placed): number => (bytes === 0 ? Number.NEGATIVE_INFINITY : -bytes);
  const turned = ({ layout }: Placed): number => (layout?.columnMajor === true ? 1 : 0);
  runs.sort(({ part: a }, { part: b }) => a.offset - b.offset || rank(a) - rank(b) || turned(a) - turned(b));
  const parts: PlanPart[] = [];
  let reached = 0;
  for (const { part, found } of runs) {
    if (part.offset < reached) {
      derived.push(derive(found));
      continue;
    }
    if (part.offset > reached) parts.push({ kind: "literal", offset: reached, bytes: part.offset - reached });
    parts.push(part);
    reached = part.offset + part.bytes;
  }
  if (reached < fileBytes) parts.push({ kind: "literal", offset: reached, bytes: fileBytes - reached });
  checkDerived(file, fileBytes, derived);
  return { parts, derived };
}

function checkDerived(file: string, fileBytes: number, derived: readonly DerivedTensor[]): void {
  const maximum = Math.max(MIN_DERIVED_BYTES, MAX_DERIVED_RATIO * fileBytes);
  let total = 0;
  for (const { name, bytes } of derived) {
    total += bytes;
    if (total <= maximum) continue;
    throw new InvalidFileError(
      file,
      "expanded",
      `with its ${bytes} bytes, tensors that repeat or share bytes take ${total}, the limit for a file of ${fileBytes} is ${maximum}; save contiguous copies of them`,
      { tensor: name },
    );
  }
}

/** The part that a tensor is, if it is a run of the file. */
function runOf({ name, tensor, metadata }: NamedTensor): Placed | undefined {
  const { dtype, shape, first, storage } = tensor;
  const order = orderOf(tensor);
  if (storage.offset === undefined || order === "scattered") return undefined;
  const bytes = elementsOf(tensor) * elementBytes(tensor);
  // An empty tensor may begin anywhere, even behind its storage.
  const offset = storage.offset + (bytes === 0 ? 0 : first * elementBytes(tensor));
  const layout: PartLayout = {
    ...(tensor.bigEndian && dtype.bits > 8 ? { bigEndian: true } : {}),
    ...(order === "column-major" ? { columnMajor: true } : {}),
  };
  return {
    kind: "tensor",
    name,
    dtype,
    shape,
    offset,
    bytes,
    ...(Object.keys(layout).length > 0 ? { layout } : {}),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

function derive({ name, tensor, metadata }: NamedTensor): DerivedTensor {
  const { dtype, shape, bigEndian } = tensor;
  const bytes = elementsOf(tensor) * elementBytes(tensor);
  const width = componentBytes(dtype);
  return {
    name,
    dtype,
    shape,
    bytes,
    ...(metadata === undefined ? {} : { metadata }),
    elements(source) {
      const elements = orderOf(tensor) === "row-major" ? run(source, tensor, bytes) : gather(source, tensor);
      return bigEndian && width > 1 ? swap(elements, width) : elements;
    },
  };
}

/** The elements of a row-major tensor as they lie in its storage. */
async function* run(source: Source, tensor: StridedTensor, bytes: number): AsyncGenerator<Uint8Array> {
  if (bytes === 0) return;
  const first = tensor.first * elementBytes(tensor);
  yield* tensor.storage.stream(source, first, first + bytes);
}

/** Reverses the bytes of each component of `width` bytes. */
async function* swap(pieces: AsyncIterable<Uint8Array>, width: number): AsyncGenerator<Uint8Array> {
  for await (const piece of wholeElements(pieces, width)) {
    const swapped = piece.slice();
    for (let at = 0; at < swapped.length; at += width) swapped.subarray(at, at + width).reverse();
    yield swapped;
  }
}
