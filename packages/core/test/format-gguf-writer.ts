/** Writes GGUF files for tests, as its specification says; whatever the tests ask for, right or wrong. */

/** A metadata value: the number of its type, and what is written. */
export type GgufValue =
  | { readonly type: "raw"; readonly bytes: Uint8Array }
  | { readonly type: ScalarType; readonly value: number | bigint }
  | { readonly type: "string"; readonly value: string | Uint8Array }
  | {
      readonly type: "array";
      readonly of: ScalarType | "string" | "array";
      readonly values: readonly unknown[];
    };

type ScalarType = (typeof scalarTypes)[number];

const scalarTypes = [
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "float32",
  "bool",
  "uint64",
  "int64",
  "float64",
] as const;

const typeNumbers: { readonly [name: string]: number } = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
};

/** A tensor: `dimensions` as in the file, the fastest first. `offset` defaults to the next aligned one. */
export interface GgufTensorToWrite {
  readonly name: string | Uint8Array;
  readonly type: number;
  readonly dimensions: readonly (number | bigint)[];
  readonly data: Uint8Array;
  readonly offset?: number | bigint;
}

export interface GgufToWrite {
  readonly magic?: string;
  readonly version?: number;
  readonly bigEndian?: boolean;
  readonly alignment?: number;
  readonly metadata?: readonly (readonly [key: string, value: GgufValue])[];
  readonly tensors?: readonly GgufTensorToWrite[];
  /** Counts to be written in place of the right ones. */
  readonly tensorCount?: bigint;
  readonly keyCount?: bigint;
  /** Pad the last tensor's data, too, as ggml does and gguf-py does not. */
  readonly padLast?: boolean;
}

class Writer {
  readonly #bytes: number[] = [];
  readonly #littleEndian: boolean;

  constructor(bigEndian: boolean) {
    this.#littleEndian = !bigEndian;
  }

  get length(): number {
    return this.#bytes.length;
  }

  raw(bytes: Iterable<number>): this {
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }

  number(type: string, value: number | bigint): this {
    const view = new DataView(new ArrayBuffer(8));
    const little = this.#littleEndian;
    let bytes = 8;
    if (type === "uint64") view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), little);
    else if (type === "int64") view.setBigInt64(0, BigInt(value), little);
    else if (type === "float64") view.setFloat64(0, Number(value), little);
    else if (type === "float32") view.setFloat32(0, Number(value), little);
    else if (type === "uint32" || type === "int32") view.setUint32(0, Number(value), little);
    else if (type === "uint16" || type === "int16") view.setUint16(0, Number(value), little);
    else view.setUint8(0, Number(value));
    if (type.endsWith("32")) bytes = 4;
    else if (type.endsWith("16")) bytes = 2;
    else if (type.endsWith("8") || type === "bool") bytes = 1;
    return this.raw(new Uint8Array(view.buffer, 0, bytes));
  }

  string(text: string | Uint8Array): this {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    return this.number("uint64", bytes.length).raw(bytes);
  }

  element(type: string, value: unknown): void {
    if (type === "string") this.string(value as string);
    else if (type === "array") this.array(value as Extract<GgufValue, { type: "array" }>);
    else this.number(type, value as number);
  }

  array({ of, values }: Extract<GgufValue, { type: "array" }>): void {
    this.number("uint32", typeNumbers[of]!).number("uint64", values.length);
    for (const value of values) this.element(of, value);
  }

  align(alignment: number): this {
    return this.raw(new Uint8Array((alignment - (this.length % alignment)) % alignment));
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/** The bytes of a file, and where its data begins. */
export function writeGguf(file: GgufToWrite): { bytes: Uint8Array; dataStart: number } {
  const { bigEndian = false, alignment = 32, metadata = [], tensors = [], padLast = true } = file;
  const writer = new Writer(bigEndian);
  writer.raw(Buffer.from(file.magic ?? "GGUF", "latin1")).number("uint32", file.version ?? 3);
  writer.number("uint64", file.tensorCount ?? tensors.length);
  writer.number("uint64", file.keyCount ?? metadata.length);
  for (const [key, value] of metadata) {
    writer.string(key);
    if (value.type === "raw") {
      writer.raw(value.bytes);
      continue;
    }
    writer.number("uint32", typeNumbers[value.type]!);
    if (value.type === "array") writer.array(value);
    else writer.element(value.type, value.value);
  }
  let next = 0;
  for (const { name, type, dimensions, data, offset } of tensors) {
    writer.string(name).number("uint32", dimensions.length);
    for (const dimension of dimensions) writer.number("uint64", dimension);
    writer.number("uint32", type).number("uint64", offset ?? next);
    next += Math.ceil(data.length / alignment) * alignment;
  }
  if (tensors.length > 0) writer.align(alignment);
  const dataStart = writer.length;
  for (const [index, { data }] of tensors.entries()) {
    writer.raw(data);
    if (padLast || index < tensors.length - 1) writer.align(alignment);
  }
  return { bytes: writer.finish(), dataStart };
}

/** Pseudo-random bytes. */
export function someBytes(count: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}
