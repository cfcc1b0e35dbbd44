/**
 * Entries for the journal's tests: any at all (for property tests), and small ones that are told apart by
 * their number.
 */
import fc from "fast-check";
import type {
  ArrayFacts,
  Entry,
  FileFacts,
  JsonObject,
  Op,
  RecordFacts,
  TensorFacts,
} from "../src/model/entry.ts";
import { MAX_LAYOUT } from "../src/model/part-layout.ts";

/** Largest number that columns hold; fields that stand alone go on to 2^53 - 1. */
const columnNumber = fc.oneof(
  fc.nat(300),
  fc.nat(),
  fc.maxSafeNat().map((number) => Math.floor(number / 4)),
);
const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const text = fc.string({ unit: "grapheme", maxLength: 12 });
const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const json = fc
  .dictionary(text, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 })
  .map((object) => JSON.parse(JSON.stringify(object)) as JsonObject);
const runs = fc
  .array(fc.tuple(columnNumber, fc.nat(1000)), { maxLength: 4 })
  .map((pairs) => pairs.flat() as readonly number[]);
const shape = fc.array(fc.oneof(fc.nat(5), number), { maxLength: 4 });
const measure = fc.double().map((value) => (Object.is(value, -0) ? 0 : value));

/** A record in which properties that came out undefined are missing. */
function record<T extends object>(
  model: { [Key in keyof T]-?: fc.Arbitrary<T[Key] | undefined> },
): fc.Arbitrary<T> {
  return fc
    .record(model as Record<string, fc.Arbitrary<unknown>>)
    .map(
      (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T,
    );
}
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });

const array: fc.Arbitrary<ArrayFacts> = record<ArrayFacts>({
  role: fc.constantFrom("values", "scales", "zeros"),
  dtype: fc.integer({ min: 1, max: 25 }),
  shape,
  place: fc.oneof(fc.record({ runs }), fc.record({ bundle: columnNumber, offset: columnNumber })),
});

const tensor: fc.Arbitrary<TensorFacts> = record<TensorFacts>({
  key: bytes(32),
  dtype: fc.integer({ min: 1, max: 25 }),
  shape,
  geometry: fc.constantFrom("elements", "content"),
  quantization: maybe(
    fc.record({
      quantizer: text,
      parameters: json,
      error: fc.record({
        maxAbsolute: measure,
        rmse: measure,
        snrDb: fc.option(measure),
        cosine: fc.option(measure),
      }),
      bitsPerWeight: measure,
    }),
  ),
  note: maybe(text),
  sketch: maybe(bytes(32)),
  arrays: fc.array(array, { maxLength: 3 }),
});

/** The usual tensor: one array, of the tensor's own dtype and shape. */
const plainTensor = fc.tuple(tensor, array).map(([each, { place }]) => ({
  ...each,
  arrays: [{ role: "values" as const, dtype: each.dtype, shape: each.shape, place }],
}));

const recordFacts: fc.Arbitrary<RecordFacts> = record<RecordFacts>({
  id: bytes(16),
  file: columnNumber,
  name: maybe(text),
  metadata: maybe(json),
  tensor: columnNumber,
  added: maybe(columnNumber),
  removed: maybe(columnNumber),
});

/** Parts, and how they lie in the file, which few files say. */
const parts = fc.array(fc.tuple(columnNumber, fc.nat(MAX_LAYOUT)), { maxLength: 8 });

const file: fc.Arbitrary<FileFacts> = fc
  .tuple(
    record<Omit<FileFacts, "parts" | "layouts">>({
      file: number,
      path: text,
      format: text,
      bytes: number,
      sha256: bytes(32),
      added: maybe(number),
      removed: maybe(number),
    }),
    parts,
    fc.boolean(),
  )
  .map(([facts, pairs, hasLayouts]) => ({
    ...facts,
    parts: pairs.map(([part]) => part),
    ...(hasLayouts && { layouts: pairs.map(([, layout]) => layout) }),
  }));

const numbers = fc.array(columnNumber, { maxLength: 6 });

type OpOf<Name extends Op["op"]> = Extract<Op, { readonly op: Name }>;
const op = <Name extends Op["op"]>(
  name: Name,
  model: { [Key in Exclude<keyof OpOf<Name>, "op">]-?: fc.Arbitrary<OpOf<Name>[Key] | undefined> },
): fc.Arbitrary<Op> => record<object>(model as never).map((fields) => ({ op: name, ...fields }) as Op);

const ops: readonly fc.Arbitrary<Op>[] = [
  op("pack.add", { pack: number, name: text, tail: fc.boolean() }),
  op("pack.drop", { packs: numbers }),
  op("frames", {
    pack: number,
    offset: number,
    bytes: number,
    chunks: runs,
    staged: maybe(fc.boolean()),
    timeMs: maybe(number),
  }),
  op("staged.drop", { firsts: numbers }),
  op("chunks.drop", { chunks: runs }),
  op("tensors.add", { first: number, tensors: fc.array(fc.oneof(tensor, plainTensor), { maxLength: 6 }) }),
  op("tensors.drop", { tensors: runs }),
  op("dataset.add", {
    dataset: number,
    name: text,
    timeMs: number,
    preset: fc.option(text),
    metadata: json,
    schema: fc.option(json),
    indexed: fc.array(text, { maxLength: 3 }),
  }),
  op("dataset.set", {
    dataset: number,
    name: maybe(text),
    preset: maybe(fc.option(text)),
    metadata: maybe(json),
    schema: maybe(fc.option(json)),
    indexed: maybe(fc.array(text, { maxLength: 3 })),
  }),
  op("dataset.drop", { dataset: number }),
  op("version", {
    dataset: number,
    version: number,
    note: maybe(text),
    timeMs: maybe(number),
    sequence: maybe(number),
  }),
  op("tag.set", { dataset: number, tag: text, version: number }),
  op("tag.drop", { dataset: number, tag: text }),
  op("expire", { dataset: number, kept: numbers }),
  op("records.add", { dataset: number, version: number, records: fc.array(recordFacts, { maxLength: 6 }) }),
  op("records.remove", { dataset: number, version: number, ids: fc.array(bytes(16), { maxLength: 5 }) }),
  op("files.add", { dataset: number, version: number, files: fc.array(file, { maxLength: 3 }) }),
  op("files.remove", { dataset: number, version: number, files: numbers }),
  op("settings.set", { settings: json }),
  op("preset.set", { name: text, preset: json }),
  op("preset.drop", { name: text }),
  op("counters", {
    next: fc.record({ chunk: number, tensor: number, pack: number, dataset: number, file: number }),
  }),
];

/** How many kinds of operations `anyEntry` makes. */
export const opKinds: number = ops.length;

/** Any list of operations. */
export const anyOps: fc.Arbitrary<readonly Op[]> = fc.array(fc.oneof(...ops), { maxLength: 5 });

/** Any entry. */
export const anyEntry: fc.Arbitrary<Entry> = fc.record({ sequence: number, timeMs: number, ops: anyOps });

/** A small entry that shows its number; `padding` makes it longer. */
export function smallEntry(sequence: number, padding = 0): Entry {
  return {
    sequence,
    timeMs: 1_700_000_000_000 + sequence,
    ops: [{ op: "version", dataset: 1, version: sequence, note: `entry ${sequence}${"x".repeat(padding)}` }],
  };
}

/** `count` records of 64 floats each, as one commit adds them: bundled, with ids that count up. */
export function recordBatch(count: number, named: boolean, random: () => number): Entry {
  const first = Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256));
  first[14] = 0;
  const tensors = Array.from({ length: count }, (_, index): TensorFacts => {
    const key = Uint8Array.from({ length: 32 }, () => Math.floor(random() * 256));
    const place = { bundle: 70_000 + Math.floor(index / 512), offset: 256 * (index % 512) };
    return {
      key,
      dtype: 22,
      shape: [64],
      geometry: "elements",
      arrays: [{ role: "values", dtype: 22, shape: [64], place }],
    };
  });
  const records = tensors.map((_, index): RecordFacts => {
    const id = first.slice();
    id[14] = index >> 8;
    id[15] = index & 255;
    const named_ = { name: `cat-${index}`, metadata: { label: index % 10 } };
    return { id, file: 0, tensor: 1_000_000 + index, ...(named ? named_ : {}) };
  });
  return {
    sequence: 12_345,
    timeMs: 1_760_000_000_000,
    ops: [
      {
        op: "frames",
        pack: 17,
        offset: 40_000_000,
        bytes: 100_000,
        chunks: [70_000, Math.ceil(count / 512)],
      },
      { op: "tensors.add", first: 1_000_000, tensors },
      { op: "version", dataset: 3, version: 400 },
      { op: "records.add", dataset: 3, version: 400, records },
    ],
  };
}
