/** Writes ONNX files byte by byte, in ways that no protobuf library would: any order of fields, any form of a number. */
import { type DType, type DTypeName, dtypeOf } from "@tensorcask/codec";

export type Bytes = Uint8Array<ArrayBuffer>;
type Content = Bytes | string | readonly Bytes[];

export function joined(...pieces: readonly Uint8Array[]): Bytes {
  const all = new Uint8Array(pieces.reduce((bytes, piece) => bytes + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** The same bytes so many times. */
export function repeated(bytes: Bytes, times: number): Bytes {
  return new Uint8Array(bytes.length * times).map((_, at) => bytes[at % bytes.length]!);
}

/** An int64 or uint64 in as few bytes as it takes; `least` adds empty ones. */
export function varint(value: number | bigint, least = 1): Bytes {
  let left = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    bytes.push(Number(left & 0x7fn) | 0x80);
    left >>= 7n;
  } while (left > 0n || bytes.length < least);
  bytes[bytes.length - 1]! &= 0x7f;
  return Uint8Array.from(bytes);
}

export function tag(field: number, wireType: number): Bytes {
  return varint(field * 8 + wireType);
}

/** A field that is a varint. */
export function int(field: number, value: number | bigint): Bytes {
  return joined(tag(field, 0), varint(value));
}

/** A field that is bytes, a text or a message of fields. */
export function len(field: number, content: Content = []): Bytes {
  const bytes =
    typeof content === "string"
      ? new TextEncoder().encode(content)
      : content instanceof Uint8Array
        ? content
        : joined(...content);
  return joined(tag(field, 2), varint(bytes.length), bytes);
}

/** A key and a value. */
export const entry = (field: number, key: string, value: string): Bytes =>
  len(field, [len(1, key), len(2, value)]);

// ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, SparseTensorProto: fields by name.
export const model = (...fields: Bytes[]): Bytes => joined(int(1, 8), ...fields);
export const graph = (...fields: Bytes[]): Bytes => len(7, fields);
export const graphModel = (...fields: Bytes[]): Bytes => model(graph(...fields));
export const node = (...fields: Bytes[]): Bytes => len(1, fields);
export const initializer = (...fields: Bytes[]): Bytes => len(5, fields);
export const sparseInitializer = (...fields: Bytes[]): Bytes => len(15, fields);
export const attribute = (name: string, ...fields: Bytes[]): Bytes => len(5, [len(1, name), ...fields]);
export const dims = (...lengths: (number | bigint)[]): Bytes =>
  joined(...lengths.map((length) => int(1, length)));
export const dataType = (type: number): Bytes => int(2, type);
export const name = (text: string): Bytes => len(8, text);
export const raw = (data: Uint8Array | number[]): Bytes => len(9, Uint8Array.from(data));
/** Tensor fields of uint8 elements in `raw_data`. */
export const bytesTensor = (...data: number[]): Bytes[] => [dims(data.length), dataType(2), raw(data)];

/** Numbers and names of all element types that have a dtype, with their typed field. */
export const types: readonly { code: number; dtype: DType; field: number }[] = (
  [
    [1, "float32", 4],
    [2, "uint8", 5],
    [3, "int8", 5],
    [4, "uint16", 5],
    [5, "int16", 5],
    [6, "int32", 5],
    [7, "int64", 7],
    [9, "bool", 5],
    [10, "float16", 5],
    [11, "float64", 10],
    [12, "uint32", 11],
    [13, "uint64", 11],
    [14, "complex64", 4],
    [15, "complex128", 10],
    [16, "bfloat16", 5],
    [17, "float8_e4m3fn", 5],
    [18, "float8_e4m3fnuz", 5],
    [19, "float8_e5m2", 5],
    [20, "float8_e5m2fnuz", 5],
    [21, "uint4", 5],
    [22, "int4", 5],
    [23, "float4_e2m1fn", 5],
    [24, "float8_e8m0fnu", 5],
  ] as [number, DTypeName, number][]
).map(([code, dtype, field]) => ({ code, dtype: dtypeOf(dtype), field }));

/** The numbers of a typed field, encoded one by one, from the bytes of the elements. */
export function typedNumbers({ dtype, field }: (typeof types)[number], data: Uint8Array): Bytes[] {
  if (field === 4 || field === 10) {
    const width = field === 4 ? 4 : 8;
    return Array.from({ length: data.length / width }, (_, index) =>
      data.slice(index * width, (index + 1) * width),
    );
  }
  const width = Math.max(8, dtype.bits) / 8;
  const signed = /^int(8|16|32|64)$/.test(dtype.name);
  return Array.from({ length: data.length / width }, (_, index) => {
    let value = 0n;
    for (let byte = width - 1; byte >= 0; byte--) value = (value << 8n) | BigInt(data[index * width + byte]!);
    return varint(signed ? BigInt.asIntN(width * 8, value) : value);
  });
}
