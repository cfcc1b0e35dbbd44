/**
 * Stored tensors: what they are made of and where their arrays lie. schema.ts says how the row forms come about.
 */
import { byteLength, type DType, dtypeOfCode } from "@tensorcask/codec";
import type { ArrayFacts, Place, QuantizationFacts, Runs, TensorFacts } from "../model/entry.ts";
import { bindable, plainBytes, prefixOf } from "./chunks.ts";
import type { StoredTensor } from "./rows.ts";
import { insertSketch } from "./sketches.ts";
import { damaged, type Sqlite } from "./sqlite.ts";

/** Tensors fetched by one step of an iteration over all. */
const PAGE_TENSORS = 2000;

const geometries = ["elements", "content"] as const;

interface TensorColumns {
  readonly id: number;
  readonly key: Buffer;
  readonly dtype: number;
  readonly geometry: number;
  readonly shape: string;
  readonly first: number | null;
  readonly place: number | null;
  readonly facts: string | null;
  readonly sketch: Buffer | null;
}

/** What a row's `facts` column holds: all that the short form has no column for. */
interface LongFacts {
  readonly arrays?: readonly ArrayFacts[];
  readonly quantization?: QuantizationFacts;
  readonly note?: string;
}

const selectTensor = `
  SELECT t.tensor AS id, t.key, f.dtype, f.geometry, f.shape, t.first, t.place, t.facts, s.hashes AS sketch
  FROM tensor t CROSS JOIN form f ON f.form = t.form LEFT JOIN sketch s ON s.tensor = t.tensor`;
const byId = `${selectTensor} WHERE t.tensor = ?`;

function placeOf(first: number, place: number): Place {
  return place < 0 ? { runs: [first, -place] } : { bundle: first, offset: place };
}

function tensorRow(row: TensorColumns): StoredTensor {
  const shape = JSON.parse(row.shape) as number[];
  const long = row.facts === null ? {} : (JSON.parse(row.facts) as LongFacts);
  let arrays = long.arrays;
  if (arrays === undefined) {
    if (row.first === null || row.place === null) {
      throw damaged(`tensor ${row.id} says nowhere where its bytes lie`);
    }
    arrays = [{ role: "values", dtype: row.dtype, shape, place: placeOf(row.first, row.place) }];
  }
  return {
    id: row.id,
    key: plainBytes(row.key),
    dtype: row.dtype,
    shape,
    geometry: geometries[row.geometry] ?? "elements",
    ...(long.quantization === undefined ? {} : { quantization: long.quantization }),
    ...(long.note === undefined ? {} : { note: long.note }),
    ...(row.sketch === null ? {} : { sketch: plainBytes(row.sketch) }),
    arrays,
  };
}

function checkedDType(code: number): DType {
  const dtype = dtypeOfCode(code);
  if (dtype === undefined) {
    throw damaged(`dtype code ${code} is not known to this version`);
  }
  return dtype;
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** The short form's two columns, or undefined when the tensor needs the long form. */
function shortPlace(facts: TensorFacts): readonly [first: number, place: number] | undefined {
  const array = facts.arrays[0];
  if (
    array === undefined ||
    facts.arrays.length !== 1 ||
    array.role !== "values" ||
    array.dtype !== facts.dtype ||
    !sameShape(array.shape, facts.shape)
  ) {
    return undefined;
  }
  if ("bundle" in array.place) {
    return [array.place.bundle, array.place.offset];
  }
  const { runs } = array.place;
  return runs.length === 2 && runs[1]! > 0 ? [runs[0]!, -runs[1]!] : undefined;
}

/** What statistics and gc need of a long form: stored bytes, then the runs of all its chunks. */
function moreOf(arrays: readonly ArrayFacts[]): string {
  let bytes = 0;
  const runs: number[] = [];
  for (const array of arrays) {
    bytes += byteLength(checkedDType(array.dtype), array.shape);
    if ("bundle" in array.place) {
      runs.push(array.place.bundle, 1);
    } else {
      runs.push(...array.place.runs);
    }
  }
  return JSON.stringify([bytes, ...runs]);
}

/** The `form` row of a dtype, shape and geometry; made when there is none. `known` holds those of the entry being applied. */
function formOf(sqlite: Sqlite, facts: TensorFacts, known: Map<string, number>): number {
  const shape = JSON.stringify(facts.shape);
  const geometry = facts.geometry === "content" ? 1 : 0;
  const text = `${facts.dtype} ${geometry} ${shape}`;
  let form = known.get(text);
  if (form === undefined) {
    form =
      sqlite.value<number>(
        "SELECT form FROM form WHERE dtype = ? AND geometry = ? AND shape = ?",
        facts.dtype,
        geometry,
        shape,
      ) ??
      sqlite.value<number>(
        "INSERT INTO form (dtype, geometry, shape, bytes) VALUES (?, ?, ?, ?) RETURNING form",
        facts.dtype,
        geometry,
        shape,
        byteLength(checkedDType(facts.dtype), facts.shape),
      )!;
    known.set(text, form);
  }
  return form;
}

/** Inserts one tensor row. */
export function insertTensor(
  sqlite: Sqlite,
  id: number,
  facts: TensorFacts,
  forms: Map<string, number>,
): void {
  const form = formOf(sqlite, facts, forms);
  const short = shortPlace(facts);
  const long: LongFacts = {
    ...(short === undefined ? { arrays: facts.arrays } : {}),
    ...(facts.quantization === undefined ? {} : { quantization: facts.quantization }),
    ...(facts.note === undefined ? {} : { note: facts.note }),
  };
  const isLong = short === undefined || facts.quantization !== undefined || facts.note !== undefined;
  sqlite.run(
    "INSERT INTO tensor VALUES (?, ?, ?, ?, ?, ?, ?)",
    id,
    bindable(facts.key),
    form,
    short === undefined ? null : short[0],
    short === undefined ? null : short[1],
    short === undefined ? moreOf(facts.arrays) : null,
    isLong ? JSON.stringify(long) : null,
  );
  if (facts.sketch !== undefined) insertSketch(sqlite, id, facts.sketch);
}

/** The chunk runs of a tensor's arrays; a bundle is a run of one. */
export function chunkRunsOf(tensor: TensorFacts): Runs {
  return tensor.arrays.flatMap((array) =>
    "bundle" in array.place ? [array.place.bundle, 1] : array.place.runs,
  );
}

export class Tensors {
  readonly #sqlite: Sqlite;

  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
  }

  /** For each key the id of the tensor stored under it, or undefined. */
  resolve(keys: readonly Uint8Array[]): (number | undefined)[] {
    return this.#sqlite.read(() =>
      keys.map((each) => {
        const key = bindable(each);
        return this.#sqlite.value<number>(
          "SELECT tensor FROM tensor WHERE substr(key, 1, 5) = ? AND key = ? ORDER BY tensor LIMIT 1",
          prefixOf(key),
          key,
        );
      }),
    );
  }

  byId(id: number): StoredTensor | undefined {
    const row = this.#sqlite.row<TensorColumns>(byId, id);
    return row === undefined ? undefined : tensorRow(row);
  }

  /** The tensors of the ids, in their order. Throws `DamageError` naming an id that is missing. */
  byIds(ids: Iterable<number>): StoredTensor[] {
    return this.#sqlite.read(() => {
      const tensors: StoredTensor[] = [];
      for (const id of ids) {
        const tensor = this.byId(id);
        if (tensor === undefined) {
          throw damaged(`tensor ${id} is missing`);
        }
        tensors.push(tensor);
      }
      return tensors;
    });
  }

  /** All tensors by rising id. Pages inside: rows that are added or dropped meanwhile may or may not be seen. */
  *all(): Generator<StoredTensor> {
    for (let last = 0; ; ) {
      const page = this.behind(last, PAGE_TENSORS);
      yield* page;
      if (page.length < PAGE_TENSORS) return;
      last = page[page.length - 1]!.id;
    }
  }

  /** Up to `limit` tensors behind the id `last`, by rising id. */
  behind(last: number, limit: number): StoredTensor[] {
    return this.#sqlite
      .rows<TensorColumns>(`${selectTensor} WHERE t.tensor > ? ORDER BY t.tensor LIMIT ?`, last, limit)
      .map(tensorRow);
  }
}
