/**
 * Judges a tensor: what its fields say together, and where its elements are then.
 *
 *     raw_data, or one packed run of float_data or double_data   a byte range of the file
 *     int32_data, int64_data, uint64_data (varints), single      to be decoded
 *       float_data or double_data, or several packed runs
 *     data_location EXTERNAL                                     a byte range of another file
 *     STRING, UINT2, INT2, types of later versions, segments     literal bytes of the file
 */
import { byteLength, type DType, elementCount, InvalidFileError, UsageError } from "@tensorcask/codec";
import type { JsonObject } from "../../model/entry.ts";
import { MAX_RANK } from "../safetensors/header.ts";
import { type DataType, DOUBLE_DATA, dataFieldNames, dataTypeOf, FLOAT_DATA } from "./data-types.ts";
import { type ExternalRange, externalRange } from "./external.ts";
import type { Range, TensorMessage, TypedField } from "./tensor-message.ts";
import { MAX_VARINT_BYTES } from "./wire.ts";

/** A tensor that we have a dtype for. */
export interface OnnxTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Bytes of all elements. */
  readonly bytes: number;
  readonly metadata?: JsonObject;
}

/** Where the elements of a tensor are. */
export type TensorData =
  | { readonly kind: "range"; readonly tensor: OnnxTensor; readonly offset: number }
  | {
      readonly kind: "typed";
      readonly tensor: OnnxTensor;
      readonly field: number;
      readonly ranges: readonly Range[];
    }
  | { readonly kind: "external"; readonly tensor: OnnxTensor; readonly external: ExternalRange }
  | { readonly kind: "literal"; readonly type: string; readonly external?: ExternalRange };

/**
 * Judges one tensor of `file`. Throws `InvalidFileError` naming the tensor: rules `dims`, `rank-limit`, `data-type`,
 * `data-field`, `data-twice`, `data-missing`, `packed`, `size-mismatch`, and those of `externalRange`.
 */
export function judgeTensor(file: string, message: TensorMessage, name: string): TensorData {
  const at = message.ranges[0]!.offset;
  const invalid = (rule: string, problem: string): InvalidFileError =>
    new InvalidFileError(file, rule, `${problem} (its message is at byte ${at})`, { tensor: name });
  const type = dataTypeOf(message.dataType);
  const typed = onlyTyped(message, invalid);
  if (typed !== undefined && type.field !== undefined && typed.field !== type.field) {
    const problem = `its elements are in ${dataFieldNames[typed.field]}, but ${type.name} has them in ${dataFieldNames[type.field]}`;
    throw invalid("data-field", problem);
  }
  const { dtype } = type;
  if (dtype === undefined || message.hasSegment) {
    return literal(file, message, name, type, invalid);
  }
  const shape = shapeOf(message, invalid);
  const bytes = bytesOf(dtype, shape, invalid);
  const tensor: OnnxTensor = { name, dtype, shape, bytes, ...metadataOf(message) };
  if (message.isExternal) {
    const external = externalRange(file, message, name);
    if (external.length !== undefined && external.length !== bytes) {
      throw invalid(
        "size-mismatch",
        mismatch(`its external data has ${external.length} bytes`, type, tensor),
      );
    }
    return { kind: "external", tensor, external };
  }
  if (typed !== undefined) return typedData(typed, message, type, tensor, invalid);
  if (message.raw === undefined) {
    if (bytes > 0) throw invalid("data-missing", mismatch("it has no data", type, tensor));
    const last = message.ranges.at(-1)!;
    return { kind: "range", tensor, offset: last.offset + last.bytes };
  }
  if (message.raw.bytes !== bytes) {
    throw invalid("size-mismatch", mismatch(`its raw_data has ${message.raw.bytes} bytes`, type, tensor));
  }
  return { kind: "range", tensor, offset: message.raw.offset };
}

/** Makes the error of a broken rule. */
type Invalid = (rule: string, problem: string) => InvalidFileError;

/** The one field with typed elements, if there is one. Two places for the elements are two readings of one file. */
function onlyTyped(message: TensorMessage, invalid: Invalid): TypedField | undefined {
  const places = message.typed.map(({ field }) => dataFieldNames[field]!);
  if (message.raw !== undefined) places.push("raw_data");
  if (message.isExternal) places.push("another file");
  if (places.length > 1) throw invalid("data-twice", `it has elements in ${places.join(" and in ")}`);
  return message.typed[0];
}

/** A tensor that stays in the bytes of the file. */
function literal(
  file: string,
  message: TensorMessage,
  name: string,
  type: DataType,
  invalid: Invalid,
): TensorData {
  if (
    message.dataType === 0 &&
    (message.raw !== undefined || message.typed.length > 0 || message.isExternal)
  ) {
    throw invalid("data-type", "it has elements, but no data_type");
  }
  const external = message.isExternal ? { external: externalRange(file, message, name) } : {};
  return { kind: "literal", type: message.hasSegment ? `segment of ${type.name}` : type.name, ...external };
}

function shapeOf({ dims }: TensorMessage, invalid: Invalid): readonly number[] {
  if (dims.length > MAX_RANK) throw invalid("rank-limit", `it has more than ${MAX_RANK} dims`);
  const bad = dims.find((length) => length < 0 || !Number.isSafeInteger(length));
  if (bad !== undefined) throw invalid("dims", `its dims have ${bad}, which is no length from 0 to 2^53 - 1`);
  return dims;
}

function bytesOf(dtype: DType, shape: readonly number[], invalid: Invalid): number {
  try {
    return byteLength(dtype, shape, "dims");
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw invalid("dims", error.message);
  }
}

/** Typed elements: their number is checked as far as it can be without reading them. */
function typedData(
  typed: TypedField,
  message: TensorMessage,
  type: DataType,
  tensor: OnnxTensor,
  invalid: Invalid,
): TensorData {
  const { field, packedBytes, runs, singles, lastRun } = typed;
  const where = dataFieldNames[field]!;
  if (field === FLOAT_DATA || field === DOUBLE_DATA) {
    const width = field === FLOAT_DATA ? 4 : 8;
    const found = packedBytes + singles * width;
    if (packedBytes % width !== 0) {
      throw invalid("packed", `its ${where} has ${packedBytes} bytes, which are no whole numbers`);
    }
    if (found !== tensor.bytes) {
      throw invalid("size-mismatch", mismatch(`its ${where} has ${found} bytes`, type, tensor));
    }
    if (runs === 1 && singles === 0) return { kind: "range", tensor, offset: lastRun.offset };
  } else {
    const entries = entryCount(tensor);
    if (entries > packedBytes + singles || entries < packedBytes / MAX_VARINT_BYTES + singles) {
      const found = `its ${where} has ${packedBytes + singles} bytes or single numbers for ${entries}`;
      throw invalid("size-mismatch", mismatch(found, type, tensor));
    }
  }
  return { kind: "typed", tensor, field, ranges: message.ranges };
}

/** Numbers that hold the elements of a tensor: one for each, or one for each byte of packed elements. */
export function entryCount({ dtype, shape, bytes }: OnnxTensor): number {
  return dtype.bits < 8 ? bytes : elementCount(shape);
}

function mismatch(found: string, type: DataType, { shape, bytes }: OnnxTensor): string {
  return `${found}, but ${type.name} of dims [${shape.join(", ")}] takes ${bytes} bytes`;
}

/** Longest checksum that is kept: a hexadecimal SHA-1 has 40 characters. */
const MAX_CHECKSUM_CHARACTERS = 128;

/** Becomes the metadata of the record. */
function metadataOf({ sparse, isExternal, externalData }: TensorMessage): { metadata?: JsonObject } {
  if (sparse === undefined && !isExternal) return {};
  const checksum = isExternal ? externalData?.get("checksum") : undefined;
  const metadata: JsonObject = {
    ...(sparse !== undefined && { sparse: sparse.role, dense_dims: [...sparse.dims] }),
    ...(checksum !== undefined && checksum.length <= MAX_CHECKSUM_CHARACTERS && { checksum }),
  };
  return Object.keys(metadata).length === 0 ? {} : { metadata };
}
