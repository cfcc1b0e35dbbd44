/**
 * The header of a .npy file (NEP 1), read strictly.
 *
 *     0           6      8          8 + w          8 + w + N                end
 *     | 93 NUMPY  | v 0  | N: w B   | dict, N B    | elements, row- or column-major |
 *
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }      padded with spaces, ends with a line feed
 *
 * w is 2 in version 1 and 4 in versions 2 and 3. The dict is a Python literal, which NumPy hands to a parser of the
 * whole language's literals; here it has exactly the three keys of the format, and no other expression.
 */
import { LiteralReader, type NpyErrorMaker } from "./literal.ts";

/** First bytes of every .npy file: `\x93NUMPY`. */
export const NPY_MAGIC: Uint8Array = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59);

/**
 * Longest dict in bytes: what version 1 can hold. 64 dimensions of 20 digits take 1,500; only structured dtypes,
 * which are no tensors, take more.
 */
export const MAX_NPY_DICT_BYTES = 65_535;
/** Highest number of dimensions: NumPy's own limit. */
export const MAX_NPY_RANK = 64;

/** Magic, version and the longest length. */
const PREFIX_BYTES = 12;
/** Nearly every header is shorter: one read gets it. */
const FIRST_READ_BYTES = 256;

/** What a header says. */
export interface NpyHeader {
  /** Bytes before the elements. */
  readonly headerBytes: number;
  /** Type of the elements in NumPy's notation, such as `<f4`; `|O` for Python objects. */
  readonly descr: string;
  readonly fortranOrder: boolean;
  readonly shape: readonly number[];
}

/**
 * Reads a header. `start` gives the first bytes of the file (fewer when it is shorter); errors are made by `error`.
 * Rules: `npy-magic`, `npy-version`, `npy-header`, `header-limit`, `missing-bytes`, `dtype` (structured),
 * `rank-limit`, `dimension-limit`.
 */
export async function readNpyHeader(
  start: (bytes: number) => Promise<Uint8Array>,
  error: NpyErrorMaker,
): Promise<NpyHeader> {
  let bytes = await start(FIRST_READ_BYTES);
  const { dictOffset, headerBytes, version } = prefix(bytes, error);
  if (headerBytes > bytes.length) bytes = await start(headerBytes);
  if (headerBytes > bytes.length) {
    throw error("missing-bytes", `the header takes ${headerBytes} bytes, the file has ${bytes.length}`);
  }
  return parseDict(bytes.subarray(dictOffset, headerBytes), dictOffset, version, error);
}

interface Prefix {
  readonly dictOffset: number;
  readonly headerBytes: number;
  readonly version: number;
}

function prefix(bytes: Uint8Array, error: NpyErrorMaker): Prefix {
  if (!isNpy(bytes)) throw error("npy-magic", "it does not start with \\x93NUMPY: it is no .npy file");
  const version = bytes[6];
  if (version === undefined || version < 1 || version > 3 || bytes[7] !== 0) {
    throw error("npy-version", `its version is ${version}.${bytes[7]}; 1.0, 2.0 and 3.0 are known`);
  }
  const dictOffset = version === 1 ? 10 : PREFIX_BYTES;
  if (bytes.length < dictOffset) {
    throw error(
      "missing-bytes",
      `the file ends after ${bytes.length} bytes, within the length of its header`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const dictBytes = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (dictBytes > MAX_NPY_DICT_BYTES) {
    throw error("header-limit", `its header has ${dictBytes} bytes, the limit is ${MAX_NPY_DICT_BYTES}`);
  }
  return { dictOffset, headerBytes: dictOffset + dictBytes, version };
}

/** Whether bytes start like a .npy file. */
export function isNpy(bytes: Uint8Array): boolean {
  return NPY_MAGIC.every((byte, index) => bytes[index] === byte);
}

function parseDict(dict: Uint8Array, dictOffset: number, version: number, error: NpyErrorMaker): NpyHeader {
  // Python 2 wrote long integers as `3L`; its versions of the format are 1 and 2.
  const literal = new LiteralReader(dict, dictOffset, version < 3, error);
  let descr: string | undefined;
  let fortranOrder: boolean | undefined;
  let shape: number[] | undefined;
  literal.take("{");
  while (!literal.takes("}")) {
    const key = literal.string("a key");
    literal.take(":");
    if (key === "descr" && descr === undefined) descr = descrOf(literal, error);
    else if (key === "fortran_order" && fortranOrder === undefined) fortranOrder = literal.boolean(key);
    else if (key === "shape" && shape === undefined) shape = shapeOf(literal, error);
    else throw error("npy-header", `its header has the key '${key}' twice, or should not have it`);
    if (!literal.takes(",")) {
      literal.take("}");
      break;
    }
  }
  literal.end();
  if (descr === undefined || fortranOrder === undefined || shape === undefined) {
    throw error("npy-header", "its header lacks one of the keys 'descr', 'fortran_order', 'shape'");
  }
  return { headerBytes: dictOffset + dict.length, descr, fortranOrder, shape };
}

function descrOf(literal: LiteralReader, error: NpyErrorMaker): string {
  if (literal.takes("[") || literal.takes("(")) {
    throw error(
      "dtype",
      "its elements are structures of several fields, which is no tensor",
      "save each field by itself (np.save(name, array[field])), or keep the file as bytes with --opaque",
    );
  }
  return literal.string("descr");
}

/** A tuple of non-negative integers; `(3)` is none. */
function shapeOf(literal: LiteralReader, error: NpyErrorMaker): number[] {
  const shape: number[] = [];
  literal.take("(");
  while (!literal.takes(")")) {
    if (shape.length === MAX_NPY_RANK) {
      throw error("rank-limit", `it has more than ${MAX_NPY_RANK} dimensions`);
    }
    shape.push(literal.integer("a dimension"));
    if (literal.takes(",")) continue;
    literal.take(")");
    if (shape.length === 1) throw error("npy-header", "its shape is a number, not a tuple");
    break;
  }
  return shape;
}
