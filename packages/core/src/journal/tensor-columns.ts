/**
 * The tensors of a `tensors.add` operation, as columns. What many tensors have in common (dtype, shape, how
 * they are stored) is a *form*, written once; each tensor then costs its key (32 bytes), and its form and
 * place as far as they differ from the tensor before.
 *
 *   keys       32 bytes each; there are as many tensors as keys
 *   forms      [dtype, shape, geometry 0 elements | 1 content, storage, quantizer?, parameters as JSON text?]
 *              storage: 0 or 1 for one array `values` of the tensor's own dtype and shape, in chunks of its own (0) or in a
 *              bundle (1); else a list of [role, dtype, shape, 0 | 1], one per array
 *   form       numbers: form of each tensor
 *   bundles    steps: bundle of each array in a bundle
 *   offsets    steps: its offset there
 *   lengths    numbers: how many runs each other array has
 *   firsts     numbers: first chunk of each run, as distance from the end of the run before
 *   counts     numbers: chunks of each run
 *   measures   for each quantized tensor maxAbsolute, rmse, snrDb, cosine, bitsPerWeight
 *   noted      steps: which tensors have a note
 *   notes      their notes
 *   sketched   steps: which tensors have a sketch
 *   sketches   their sketches, 32 bytes each
 */
import { DamageError, SHA256_BYTES, UsageError } from "@tensorcask/codec";
import {
  type ArrayFacts,
  type Place,
  type QuantizationFacts,
  SKETCH_BYTES,
  type TensorFacts,
} from "../model/entry.ts";
import { packNumbers, packSteps, unpackNumbers, unpackSteps } from "./columns.ts";
import { checkInteger, checkText, type Field, Fields, jsonText, trimmed } from "./fields.ts";

const roles: readonly ArrayFacts["role"][] = ["values", "scales", "zeros"];
const geometries: readonly TensorFacts["geometry"][] = ["elements", "content"];
const IN_CHUNKS = 0;
const IN_BUNDLE = 1;

/** Numbers of `measures` per quantized tensor. */
const MEASURES = 5;

/** A form that was read. */
interface Form {
  readonly dtype: number;
  readonly shape: readonly number[];
  readonly geometry: TensorFacts["geometry"];
  readonly arrays: readonly (Omit<ArrayFacts, "place"> & { readonly bundled: boolean })[];
  readonly quantizer?: Pick<QuantizationFacts, "quantizer" | "parameters">;
}

/** Packs tensors into fields. */
export function packTensors(tensors: readonly TensorFacts[]): Field[] {
  const keys = new Uint8Array(SHA256_BYTES * tensors.length);
  const forms: Field[] = [];
  const formNumbers = new Map<string, number>();
  const formOf: number[] = [];
  const bundles: number[] = [];
  const offsets: number[] = [];
  const lengths: number[] = [];
  const firsts: number[] = [];
  const counts: number[] = [];
  const measures: Field[] = [];
  const noted: number[] = [];
  const notes: string[] = [];
  const sketched: number[] = [];
  let expectedFirst = 0;

  tensors.forEach((tensor, index) => {
    if (tensor.key.length !== SHA256_BYTES) {
      throw new UsageError("key", `a tensor key has ${SHA256_BYTES} bytes, not ${tensor.key.length}`);
    }
    keys.set(tensor.key, SHA256_BYTES * index);

    const form = formFields(tensor);
    const text = JSON.stringify(form);
    let number = formNumbers.get(text);
    if (number === undefined) {
      number = forms.length;
      formNumbers.set(text, number);
      forms.push(form);
    }
    formOf.push(number);

    for (const { place } of tensor.arrays) {
      if ("bundle" in place) {
        bundles.push(place.bundle);
        offsets.push(place.offset);
        continue;
      }
      if (place.runs.length % 2 !== 0) throw new UsageError("runs", "runs are pairs of first and count");
      lengths.push(place.runs.length / 2);
      for (let at = 0; at < place.runs.length; at += 2) {
        const first = checkInteger(place.runs[at]!, "first chunk");
        const count = checkInteger(place.runs[at + 1]!, "chunk count");
        firsts.push(first - expectedFirst);
        counts.push(count);
        expectedFirst = first + count;
      }
    }
    if (tensor.quantization !== undefined) {
      const { error, bitsPerWeight } = tensor.quantization;
      measures.push(error.maxAbsolute, error.rmse, error.snrDb, error.cosine, bitsPerWeight);
    }
    if (tensor.note !== undefined) {
      noted.push(index);
      notes.push(checkText(tensor.note, "note"));
    }
    if (tensor.sketch !== undefined) sketched.push(index);
  });

  return trimmed([
    keys,
    forms,
    packNumbers(formOf),
    packSteps(bundles),
    packSteps(offsets),
    packNumbers(lengths),
    packNumbers(firsts),
    packNumbers(counts),
    measures.length === 0 ? null : measures,
    noted.length === 0 ? null : packSteps(noted),
    noted.length === 0 ? null : notes,
    sketched.length === 0 ? null : packSteps(sketched),
    sketched.length === 0 ? null : packSketches(sketched.map((index) => tensors[index]!.sketch!)),
  ]);
}

function packSketches(sketches: readonly Uint8Array[]): Uint8Array {
  const packed = new Uint8Array(SKETCH_BYTES * sketches.length);
  sketches.forEach((sketch, index) => {
    if (sketch.length !== SKETCH_BYTES)
      throw new UsageError("sketch", `a sketch has ${SKETCH_BYTES} bytes, not ${sketch.length}`);
    packed.set(sketch, SKETCH_BYTES * index);
  });
  return packed;
}

/** Reads what `packTensors` wrote; takes the rest of `fields`. */
export function unpackTensors(fields: Fields): TensorFacts[] {
  const { where } = fields;
  const keys = fields.bytes();
  if (keys.length % SHA256_BYTES !== 0) throw new DamageError(where, "tensor keys are cut short");
  const count = keys.length / SHA256_BYTES;
  const forms = fields.list().map((form) => readForm(new Fields(asList(form, where), where)));
  const formOf = unpackNumbers(fields.bytes(), where, count);
  const bundles = new Column(unpackSteps(fields.bytes(), where), where);
  const offsets = new Column(unpackSteps(fields.bytes(), where), where);
  const lengths = new Column(unpackNumbers(fields.bytes(), where), where);
  const firsts = new Column(unpackNumbers(fields.bytes(), where), where);
  const counts = new Column(unpackNumbers(fields.bytes(), where), where);
  const measures = new Fields(fields.optional((each) => each.list()) ?? [], where);
  const noted = unpackSteps(fields.optional((each) => each.bytes()) ?? new Uint8Array(0), where);
  const notes = new Fields(fields.optional((each) => each.list()) ?? [], where);
  const noteOf = new Map(noted.map((index) => [index, notes.text()]));
  notes.end();
  const sketchOf = readSketches(fields);

  let expectedFirst = 0;
  const readPlace = (bundled: boolean): Place => {
    if (bundled) return { bundle: bundles.next(), offset: offsets.next() };
    const runs: number[] = [];
    for (let left = lengths.next(); left > 0; left--) {
      const first = expectedFirst + firsts.next();
      const chunks = counts.next();
      if (first < 0 || chunks < 0) throw new DamageError(where, "a run of chunks is negative");
      runs.push(first, chunks);
      expectedFirst = first + chunks;
    }
    return { runs };
  };

  const tensors = formOf.map((number, index): TensorFacts => {
    const form = forms[number];
    if (form === undefined) throw new DamageError(where, `tensor form ${number} is missing`);
    const note = noteOf.get(index);
    const sketch = sketchOf.get(index);
    return {
      key: keys.slice(SHA256_BYTES * index, SHA256_BYTES * (index + 1)),
      dtype: form.dtype,
      shape: form.shape,
      geometry: form.geometry,
      ...(form.quantizer === undefined
        ? {}
        : { quantization: { ...form.quantizer, ...readMeasures(measures) } }),
      ...(note === undefined ? {} : { note }),
      ...(sketch === undefined ? {} : { sketch }),
      arrays: form.arrays.map(({ role, dtype, shape, bundled }) => ({
        role,
        dtype,
        shape,
        place: readPlace(bundled),
      })),
    };
  });
  for (const column of [bundles, offsets, lengths, firsts, counts]) column.end();
  measures.end();
  return tensors;
}

/** The sketches of tensors, by their places in the operation. */
function readSketches(fields: Fields): Map<number, Uint8Array> {
  const { where } = fields;
  const none = new Uint8Array(0);
  const sketched = unpackSteps(fields.optional((each) => each.bytes()) ?? none, where);
  const packed = fields.optional((each) => each.bytes()) ?? none;
  if (packed.length !== SKETCH_BYTES * sketched.length)
    throw new DamageError(where, "sketches of tensors are cut short");
  return new Map(
    sketched.map((index, at) => [index, packed.slice(SKETCH_BYTES * at, SKETCH_BYTES * (at + 1))]),
  );
}

function formFields(tensor: TensorFacts): Field[] {
  const { quantization, arrays } = tensor;
  const only = arrays.length === 1 ? arrays[0] : undefined;
  const plain =
    only !== undefined &&
    only.role === "values" &&
    only.dtype === tensor.dtype &&
    only.shape.length === tensor.shape.length &&
    only.shape.every((length, axis) => length === tensor.shape[axis]);
  const storageOf = ({ place }: ArrayFacts): number => ("bundle" in place ? IN_BUNDLE : IN_CHUNKS);
  return trimmed([
    checkInteger(tensor.dtype, "dtype"),
    checkShape(tensor.shape),
    geometries.indexOf(tensor.geometry),
    plain
      ? storageOf(only)
      : arrays.map((array) => [
          roles.indexOf(array.role),
          checkInteger(array.dtype, "dtype"),
          checkShape(array.shape),
          storageOf(array),
        ]),
    quantization === undefined ? null : checkText(quantization.quantizer, "quantizer"),
    quantization === undefined ? null : jsonText(quantization.parameters, "parameters"),
  ]);
}

function readForm(fields: Fields): Form {
  const { where } = fields;
  const dtype = fields.integer();
  const shape = readShape(fields);
  const geometry = oneOf(geometries, fields.integer(), where);
  const storage = fields.next();
  const arrays = Array.isArray(storage)
    ? storage.map((array) => {
        const each = new Fields(asList(array, where), where);
        return {
          role: oneOf(roles, each.integer(), where),
          dtype: each.integer(),
          shape: readShape(each),
          bundled: isBundled(each.integer(), where),
        };
      })
    : [{ role: "values" as const, dtype, shape, bundled: isBundled(storage, where) }];
  const quantizer = fields.optional((each) => each.text());
  const parameters = fields.optional((each) => each.json());
  fields.end();
  if (quantizer === undefined || parameters === undefined) return { dtype, shape, geometry, arrays };
  return { dtype, shape, geometry, arrays, quantizer: { quantizer, parameters } };
}

function readMeasures(fields: Fields): Pick<QuantizationFacts, "error" | "bitsPerWeight"> {
  if (fields.left < MEASURES) throw new DamageError(fields.where, "a quantized tensor has no measured error");
  const maxAbsolute = fields.number();
  const rmse = fields.number();
  const snrDb = fields.optional((each) => each.number()) ?? null;
  const cosine = fields.optional((each) => each.number()) ?? null;
  return { error: { maxAbsolute, rmse, snrDb, cosine }, bitsPerWeight: fields.number() };
}

/** Numbers handed out one by one. */
class Column {
  readonly #numbers: readonly number[];
  readonly #where: string;
  #next = 0;

  constructor(numbers: readonly number[], where: string) {
    this.#numbers = numbers;
    this.#where = where;
  }

  next(): number {
    const number = this.#numbers[this.#next++];
    if (number === undefined) throw new DamageError(this.#where, "a column of tensors is too short");
    return number;
  }

  end(): void {
    if (this.#next < this.#numbers.length) {
      throw new DamageError(this.#where, "a column of tensors is too long");
    }
  }
}

function checkShape(shape: readonly number[]): number[] {
  return shape.map((length) => checkInteger(length, "shape"));
}

function readShape(fields: Fields): number[] {
  const axes = fields.nested();
  const shape: number[] = [];
  while (!axes.atEnd) shape.push(axes.integer());
  return shape;
}

function asList(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value)) return value as readonly unknown[];
  throw new DamageError(where, "a tensor form is not a list");
}

function oneOf<T>(choices: readonly T[], index: number, where: string): T {
  const choice = choices[index];
  if (choice === undefined)
    throw new DamageError(where, `${index} is not among the known choices of a field`);
  return choice;
}

function isBundled(storage: unknown, where: string): boolean {
  if (storage === IN_BUNDLE || storage === IN_CHUNKS) return storage === IN_BUNDLE;
  throw new DamageError(where, "a tensor form has an unknown storage");
}
