/** Sections 14 and 15 of docs/format.md: columns, and the operations that are made of them. */
import { Cursor, must } from "./bytes.ts";
import type { SpecParameters } from "./quantizers.ts";

/** 14 */
export function numbers(column: unknown): number[] {
  const cursor = new Cursor(column as Uint8Array);
  const out: number[] = [];
  while (cursor.left > 0) {
    const head = cursor.varint();
    const count = Math.floor(head / 2);
    if (head % 2 === 1) out.push(...new Array<number>(count).fill(cursor.zigzag()));
    else for (let index = 0; index < count; index++) out.push(cursor.zigzag());
  }
  return out;
}

/** 14 */
export function steps(column: unknown): number[] {
  let sum = 0;
  return numbers(column).map((step) => {
    sum += step;
    must(sum >= 0, "a step goes below 0");
    return sum;
  });
}

/** 14: the ids that runs stand for. */
export function runs(column: unknown): number[] {
  const flat = numbers(column);
  const ids: number[] = [];
  for (let index = 0, end = 0; index < flat.length; index += 2) {
    const first = end + flat[index]!;
    end = first + flat[index + 1]!;
    for (let id = first; id < end; id++) ids.push(id);
  }
  return ids;
}

/** 14: record ids, as hexadecimal text. */
export function recordIds(column: unknown): string[] {
  const cursor = new Cursor(column as Uint8Array);
  const ids: string[] = [];
  while (cursor.left > 0) {
    const shared = cursor.u8();
    ids.push((ids.at(-1) ?? "").slice(0, 2 * shared) + cursor.take(16 - shared).toString("hex"));
  }
  return ids;
}

export interface SpecArray {
  readonly role: number;
  readonly dtype: number;
  readonly shape: readonly number[];
  readonly bundle?: number;
  readonly offset?: number;
  readonly chunks?: readonly number[];
}

export interface SpecTensor {
  readonly key: Buffer;
  readonly dtype: number;
  readonly shape: readonly number[];
  readonly geometry: number;
  readonly quantizer: string | undefined;
  readonly parameters: SpecParameters;
  readonly note: string | undefined;
  readonly sketch: Buffer | undefined;
  readonly arrays: readonly SpecArray[];
}

export interface SpecRecord {
  readonly id: string;
  readonly file: number;
  readonly tensor: number;
  readonly name: string | undefined;
  readonly metadata: unknown;
  readonly added: number;
  removed?: number;
}

export interface SpecFile {
  readonly file: number;
  readonly path: string;
  readonly format: string;
  readonly bytes: number;
  readonly sha256: Buffer;
  readonly parts: readonly number[];
  /** By part; empty where all lie as they are stored. */
  readonly layouts: readonly number[];
  readonly added: number;
  removed?: number;
}

/** 15, Tensors. */
export function tensorsOf(fields: readonly unknown[]): SpecTensor[] {
  const keys = Buffer.from(fields[0] as Uint8Array);
  const forms = fields[1] as unknown[][];
  const formOf = numbers(fields[2]);
  const bundles = steps(fields[3]);
  const offsets = steps(fields[4]);
  const lengths = numbers(fields[5]);
  const firsts = numbers(fields[6]);
  const counts = numbers(fields[7]);
  const noted = fields[9] == null ? [] : steps(fields[9]);
  const notes = (fields[10] ?? []) as string[];
  const sketched = fields[11] == null ? [] : steps(fields[11]);
  const sketches = Buffer.from((fields[12] ?? []) as Uint8Array);
  must(fields.length <= 13, "an operation has unknown fields");
  must(sketches.length === 32 * sketched.length, "sketches are cut short");
  let end = 0;
  const place = (bundled: boolean): Pick<SpecArray, "bundle" | "offset" | "chunks"> => {
    if (bundled) return { bundle: bundles.shift()!, offset: offsets.shift()! };
    const chunks: number[] = [];
    for (let left = lengths.shift()!; left > 0; left--) {
      const first = end + firsts.shift()!;
      end = first + counts.shift()!;
      for (let id = first; id < end; id++) chunks.push(id);
    }
    return { chunks };
  };
  must(keys.length === 32 * formOf.length, "keys and forms disagree");
  const tensors = formOf.map((number, index): SpecTensor => {
    const [dtype, shape, geometry, storage, quantizer, parameters] = forms[number] as [
      number,
      number[],
      number,
      unknown,
      string?,
      string?,
    ];
    const arrays = Array.isArray(storage)
      ? (storage as [number, number, number[], number][]).map(([role, type, axes, bundled]) => ({
          role,
          dtype: type,
          shape: axes,
          ...place(bundled === 1),
        }))
      : [{ role: 0, dtype, shape, ...place(storage === 1) }];
    return {
      key: keys.subarray(32 * index, 32 * index + 32),
      dtype,
      shape,
      geometry,
      quantizer: quantizer ?? undefined,
      parameters: parameters == null ? {} : JSON.parse(parameters),
      note: noted.includes(index) ? notes[noted.indexOf(index)] : undefined,
      sketch: sketched.includes(index)
        ? sketches.subarray(32 * sketched.indexOf(index)).subarray(0, 32)
        : undefined,
      arrays,
    };
  });
  must(
    [bundles, offsets, lengths, firsts, counts].every((column) => column.length === 0),
    "columns are left",
  );
  return tensors;
}

/** 15, Records. */
export function recordsOf(fields: readonly unknown[], version: number): SpecRecord[] {
  const [ids, files, tensors] = [recordIds(fields[0]), steps(fields[1]), steps(fields[2])];
  const names = fields[3] as (string | null)[] | undefined;
  const metadata = fields[4] as (string | null)[] | undefined;
  const added = fields[5] == null ? undefined : steps(fields[5]);
  const removed = fields[6] == null ? undefined : steps(fields[6]);
  return ids.map((id, index) => ({
    id,
    file: files[index]!,
    tensor: tensors[index]!,
    name: names?.[index] ?? undefined,
    metadata: metadata?.[index] == null ? undefined : JSON.parse(metadata[index]),
    added: added?.[index] ? added[index] - 1 : version,
    ...(removed?.[index] ? { removed: removed[index] - 1 } : {}),
  }));
}

export function fileOf(fields: readonly unknown[], version: number): SpecFile {
  const [file, path, format, bytes, hash, column, added, removed, layoutColumn] = fields as [
    number,
    string,
    string,
    number,
    Uint8Array,
    Uint8Array,
    number?,
    number?,
    Uint8Array?,
  ];
  const parts = steps(column);
  const layouts = layoutColumn == null ? [] : numbers(layoutColumn);
  must(layoutColumn == null || layouts.length === parts.length, "a part has no layout");
  must(
    layouts.every((layout) => layout >= 0 && layout < 4),
    "a layout is unknown",
  );
  return {
    file,
    path,
    format,
    bytes,
    sha256: Buffer.from(hash),
    parts,
    layouts,
    added: added ?? version,
    ...(removed == null ? {} : { removed }),
  };
}
