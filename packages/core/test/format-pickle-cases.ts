/** Pickles and PyTorch checkpoints for the tests: those that CPython wrote (fixtures/pickles.json), and a small writer. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { InvalidFileError, LimitError } from "@tensorcask/codec";
import { expect } from "vitest";
import type { FormatPlan } from "../src/format/format.ts";
import { componentBytes } from "../src/model/part-layout.ts";
import { bufferSource, type PlanPart } from "../src/model/plan.ts";
import { type ZipCaseEntry, zipOf } from "./format-zip-cases.ts";

/** What CPython 3.11 and numpy 2.4 wrote, as base64; `torch` is played by classes of its names. */
interface Fixtures {
  /** One object by protocol (0 to 5). */
  readonly protocols: Readonly<Record<string, string>>;
  readonly legacy: Readonly<Record<"2" | "4", string>>;
  readonly zip: Readonly<Record<"stored" | "deflated" | "protocol4", string>>;
  readonly npy: string;
  /** What PyTorch 2.13 itself wrote: a checkpoint in both formats, a TorchScript module, lazy views. */
  readonly torch: Readonly<Record<"zip" | "legacy" | "script" | "conj" | "neg", string>>;
}

export const fixtures: Fixtures = JSON.parse(
  readFileSync(join(import.meta.dirname, "fixtures/pickles.json"), "utf8"),
);

export const decode = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, "base64"));

/** What the writer pickles beside JSON: opcodes put together. */
export class Raw {
  readonly bytes: Uint8Array;

  constructor(...pieces: (string | number | Uint8Array)[]) {
    this.bytes = Buffer.concat(
      pieces.map((piece) =>
        typeof piece === "string"
          ? Buffer.from(piece, "latin1")
          : typeof piece === "number"
            ? Buffer.of(piece)
            : piece,
      ),
    );
  }
}

/** A value for the writer: numbers are integers. */
export type Pickled = null | boolean | number | string | Pickled[] | { [key: string]: Pickled } | Raw;

const raw = (value: Pickled): Uint8Array => encode(value).bytes;

function encode(value: Pickled): Raw {
  if (value instanceof Raw) return value;
  if (value === null) return new Raw("N");
  if (typeof value === "boolean") return new Raw(value ? "\x88" : "\x89");
  if (typeof value === "number") {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    return new Raw("\x8a\x08", bytes);
  }
  if (typeof value === "string") {
    const text = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(text.length);
    return new Raw("X", length, text);
  }
  if (Array.isArray(value)) return new Raw("](", ...value.map(raw), "e");
  return new Raw("}(", ...Object.entries(value).flatMap((pair) => pair.map(raw)), "u");
}

export const tuple = (...items: Pickled[]): Raw => new Raw("(", ...items.map(raw), "t");
export const global = (module: string, name: string): Raw => new Raw(`c${module}\n${name}\n`);
export const call = (callee: Pickled, ...args: Pickled[]): Raw =>
  new Raw(raw(callee), raw(tuple(...args)), "R");
export const build = (object: Pickled, state: Pickled): Raw => new Raw(raw(object), raw(state), "b");
export const bytes = (data: Uint8Array): Raw => {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(data.length);
  return new Raw("B", length, data);
};

/** A whole pickle. */
export const pickle = (value: Pickled): Uint8Array =>
  new Uint8Array(new Raw("\x80\x03", raw(value), ".").bytes);

/** A storage by its key; `type` as in `FloatStorage`. */
export const storage = (type: string, key: string, count: number, ...more: Pickled[]): Raw =>
  new Raw(raw(tuple("storage", global("torch", type), key, "cpu", count, ...more)), "Q");

/** A tensor of a storage. */
export const tensor = (of: Raw, first: number, shape: number[], strides: number[]): Raw =>
  call(
    global("torch._utils", "_rebuild_tensor_v2"),
    of,
    first,
    tuple(...shape),
    tuple(...strides),
    false,
    call(global("collections", "OrderedDict")),
  );

/** A numpy array as numpy pickles it. */
export const array = (descr: string, shape: number[], data: Pickled, isFortran = false): Raw =>
  build(
    call(global("numpy.core.multiarray", "_reconstruct"), global("numpy", "ndarray"), tuple(0), "b"),
    tuple(1, tuple(...shape), dtype(descr), isFortran, data),
  );

/** `<f4` and the like. */
export const dtype = (descr: string): Raw =>
  build(
    call(global("numpy", "dtype"), descr.slice(1), false, true),
    tuple(3, descr[0]!, null, null, null, -1, -1, 0),
  );

/** Little-endian floats. */
export const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

/** Puts the checksums of stored members right. */
export function repairZip(file: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  for (let at = bytes.indexOf("PK\x01\x02"); at >= 0 && at + 46 <= bytes.length; ) {
    const local = bytes.readUInt32LE(at + 42);
    if (bytes.readUInt16LE(at + 10) === 0 && local + 30 <= bytes.length) {
      const begin = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
      const checksum = crc32(bytes.subarray(begin, begin + bytes.readUInt32LE(at + 20)));
      bytes.writeUInt32LE(checksum, at + 16);
      bytes.writeUInt32LE(checksum, local + 14);
    }
    at = bytes.indexOf("PK\x01\x02", at + 4);
  }
  return file;
}

/** A zip checkpoint of an object and its storages. */
export function checkpoint(
  object: Pickled,
  storages: Readonly<Record<string, Uint8Array>>,
  more: readonly ZipCaseEntry[] = [],
): Uint8Array {
  return zipOf([
    { name: "model/data.pkl", data: pickle(object) },
    ...Object.entries(storages).map(([key, data]) => ({ name: `model/data/${key}`, data })),
    ...more,
  ]);
}

/** A legacy checkpoint of an object and its storages: number of elements and bytes. */
export function legacyCheckpoint(
  object: Pickled,
  storages: Readonly<Record<string, readonly [count: number, data: Uint8Array]>>,
): Uint8Array {
  const magic = new Raw("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.");
  return new Uint8Array(
    new Raw(
      magic.bytes,
      pickle(1001),
      pickle({ little_endian: true }),
      pickle(object),
      pickle(Object.keys(storages)),
      ...Object.values(storages).flatMap(([count, data]) => {
        const head = Buffer.alloc(8);
        head.writeBigInt64LE(BigInt(count));
        return [head, data];
      }),
    ).bytes,
  );
}

/** All tensors of a plan by name: dtype, shape and elements (row-major, little-endian), and whether each is derived. */
export async function tensorsOf(plan: FormatPlan, file: Uint8Array): Promise<Map<string, FoundTensor>> {
  const found = new Map<string, FoundTensor>();
  for (const part of plan.parts) {
    if (part.kind === "tensor") {
      found.set(part.name, {
        ...part,
        dtype: part.dtype.name,
        elements: elementsOf(part, file),
        isDerived: false,
      });
    }
  }
  for (const tensor of plan.derived ?? []) {
    const pieces: Uint8Array[] = [];
    for await (const piece of tensor.elements(bufferSource("file", file))) pieces.push(piece.slice());
    const elements = Buffer.concat(pieces);
    expect(elements.length).toBe(tensor.bytes);
    found.set(tensor.name, { ...tensor, dtype: tensor.dtype.name, elements, isDerived: true });
  }
  return found;
}

/** A tensor as a test looks at it. */
export interface FoundTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly elements: Buffer;
  readonly isDerived: boolean;
  readonly metadata?: unknown;
}

/** The elements of a part, with its layout undone one by one. */
function elementsOf(part: PlanPart & { readonly kind: "tensor" }, file: Uint8Array): Buffer {
  const { dtype, shape, offset, bytes, layout = {} } = part;
  const size = dtype.bits / 8;
  const elements = Buffer.alloc(bytes);
  for (let index = 0; index < bytes / size; index++) {
    let from = index;
    if (layout.columnMajor === true) {
      from = 0;
      let rest = index;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        const step = shape.slice(0, axis).reduce((product, length) => product * length, 1);
        from += (rest % shape[axis]!) * step;
        rest = Math.floor(rest / shape[axis]!);
      }
    }
    const element = file.slice(offset + from * size, offset + (from + 1) * size);
    if (layout.bigEndian === true) {
      const width = componentBytes(dtype);
      for (let at = 0; at < size; at += width) element.subarray(at, at + width).reverse();
    }
    elements.set(element, index * size);
  }
  return elements;
}

/** The rule that a plan breaks. */
export async function ruleOf(plan: Promise<unknown>): Promise<string> {
  const error = await plan.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof InvalidFileError) return error.rule;
  if (error instanceof LimitError) return "limit";
  throw new Error("no rule is broken", { cause: error });
}
