/**
 * Random files for the tests of plans: parts of any layout, tensors that are no byte range, metadata. What is expected of them is computed element
 * by element, without the library's code.
 */
import { type DType, dtypes } from "@tensorcask/codec";
import fc from "fast-check";
import type { JsonObject } from "../src/model/entry.ts";
import {
  bufferSource,
  type DerivedTensor,
  type FilePlan,
  type PartLayout,
  type PlanPart,
} from "../src/model/plan.ts";

/** A tensor as it is to be stored. */
export interface SampleTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Row-major, little-endian. */
  readonly bytes: Uint8Array;
  readonly metadata?: JsonObject;
}

/** A file with what its records must be. */
export interface SampleFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly plan: FilePlan;
  readonly records: ReadonlyMap<string, SampleTensor>;
}

/** One thing in a file. */
export type SamplePiece =
  | { readonly kind: "literal"; readonly bytes: Uint8Array }
  | { readonly kind: "part"; readonly tensor: SampleTensor; readonly layout: PartLayout | undefined }
  | { readonly kind: "derived"; readonly tensor: SampleTensor; readonly pieces: readonly number[] };

/** The bytes of a tensor as they lie in a file: one element after the other goes to its place. */
export function laidOut({ dtype, shape, bytes }: SampleTensor, layout: PartLayout = {}): Uint8Array {
  if (dtype.bits % 8 !== 0) return bytes;
  const size = dtype.bits / 8;
  const component = dtype.kind === "complex" ? size / 2 : size;
  const file = new Uint8Array(bytes.length);
  const index = shape.map(() => 0);
  for (let element = 0; element < bytes.length / size; element++) {
    let at = element;
    if (layout.columnMajor === true) at = index.reduceRight((sum, i, axis) => sum * shape[axis]! + i, 0);
    for (let start = 0; start < size; start += component) {
      const found = bytes.slice(element * size + start, element * size + start + component);
      file.set(layout.bigEndian === true ? found.reverse() : found, at * size + start);
    }
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis]! === shape[axis]; axis--) index[axis] = 0;
  }
  return file;
}

/** A file of these things, one after the other; tensors are named `t0`, `t1`, ... by their place. */
export function sampleFile(path: string, pieces: readonly SamplePiece[]): SampleFile {
  const parts: PlanPart[] = [];
  const derived: DerivedTensor[] = [];
  const records = new Map<string, SampleTensor>();
  const runs: Uint8Array[] = [];
  let offset = 0;
  for (const [place, piece] of pieces.entries()) {
    if (piece.kind === "literal") {
      parts.push({ kind: "literal", offset, bytes: piece.bytes.length });
      runs.push(piece.bytes);
      offset += piece.bytes.length;
      continue;
    }
    const { dtype, shape, bytes, metadata } = piece.tensor;
    const name = `t${place}`;
    const facts = { name, dtype, shape, bytes: bytes.length, ...(metadata !== undefined && { metadata }) };
    records.set(name, piece.tensor);
    if (piece.kind === "derived") {
      derived.push({ ...facts, elements: () => inPieces(bytes, piece.pieces) });
      continue;
    }
    const { layout } = piece;
    parts.push({ kind: "tensor", ...facts, offset, ...(layout !== undefined && { layout }) });
    runs.push(laidOut(piece.tensor, layout));
    offset += bytes.length;
  }
  const bytes = Buffer.concat(runs);
  const plan = {
    path,
    format: "sample",
    bytes: bytes.length,
    parts,
    derived,
    source: async () => bufferSource(path, bytes),
  };
  return { path, bytes, plan, records };
}

/** The bytes in pieces of these lengths, over and over; each piece is overwritten when the next one is asked for. */
export async function* inPieces(
  bytes: Uint8Array,
  lengths: readonly number[],
): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const piece = bytes.slice(at, at + lengths[turn % lengths.length]!);
    at += piece.length;
    yield piece;
    piece.fill(0xee);
  }
}

const axis = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 6 }) },
  { weight: 2, arbitrary: fc.integer({ min: 7, max: 40 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 63, 64, 65) },
);
const shape = fc
  .array(axis, { maxLength: 4 })
  .filter((axes) => axes.reduce((product, length) => product * length, 1) <= 6000);
const layout = fc.option(
  fc.record({ bigEndian: fc.boolean(), columnMajor: fc.boolean() }, { requiredKeys: [] }),
  { nil: undefined },
);
const metadata = fc.option(
  fc.dictionary(fc.constantFrom("label", "units", "order"), fc.constantFrom(1, "a", true, [1, "b"])),
  { nil: undefined },
);

/** Values that quantizers take, and any bits at all. */
function elements(dtype: DType, bytes: number, seed: number, isTame: boolean): Uint8Array {
  let state = seed | 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const out = new Uint8Array(bytes);
  if (isTame && dtype.name === "float32") {
    const view = new DataView(out.buffer);
    for (let at = 0; at < bytes; at += 4) view.setFloat32(at, next() / 2 ** 31 - 1, true);
    return out;
  }
  for (let at = 0; at < bytes; at++) out[at] = next();
  if (dtype.name === "bool") for (let at = 0; at < bytes; at++) out[at]! &= 1;
  return out;
}

const tensor: fc.Arbitrary<SampleTensor> = fc
  .record({
    dtype: fc.oneof(
      fc.constantFrom(...dtypes),
      fc.constantFrom(...dtypes.filter(({ name }) => name === "float32" || name === "complex64")),
    ),
    shape,
    seed: fc.integer({ min: 1, max: 6 }),
    isTame: fc.boolean(),
    metadata,
  })
  .map(({ dtype, shape: axes, seed, isTame, metadata: about }) => {
    const count = axes.reduce((product, length) => product * length, 1);
    const bytes = elements(dtype, Math.ceil((count * dtype.bits) / 8), seed, isTame);
    const rest = (count * dtype.bits) % 8;
    if (rest !== 0) bytes[bytes.length - 1]! &= (1 << rest) - 1;
    return { dtype, shape: axes, bytes, ...(about !== undefined && { metadata: about }) };
  });

const piece: fc.Arbitrary<SamplePiece> = fc.oneof(
  fc.tuple(fc.oneof(fc.nat(50), fc.nat(20_000)), fc.integer({ min: 1, max: 3 })).map(([length, seed]) => ({
    kind: "literal" as const,
    bytes: elements(dtypes[0]!, length, seed, false),
  })),
  {
    weight: 3,
    arbitrary: fc.tuple(tensor, layout).map(([one, how]) => ({
      kind: "part" as const,
      tensor: one,
      layout: one.dtype.bits % 8 === 0 && one.dtype.kind !== "block" ? how : undefined,
    })),
  },
  fc
    .tuple(tensor, fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 4 }))
    .map(([one, pieces]) => ({ kind: "derived" as const, tensor: one, pieces })),
);

/** Any file of this path. */
export function anyFile(path: string): fc.Arbitrary<SampleFile> {
  return fc.array(piece, { maxLength: 9 }).map((pieces) => sampleFile(path, pieces));
}
