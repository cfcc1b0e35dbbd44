/** From the header of an array to the tensor that it describes: the same for .npy files and members of .npz. */
import { type DType, InvalidFileError } from "@tensorcask/codec";
import type { PartLayout } from "../../model/plan.ts";
import { npyElements } from "./descr.ts";
import { type NpyHeader, readNpyHeader } from "./header.ts";
import type { NpyErrorMaker } from "./literal.ts";

/** An array. The offset counts from the beginning of its .npy file; offset and size in bytes. */
export interface NpyArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
  /** Absent: row-major, little-endian. */
  readonly layout?: PartLayout;
}

/**
 * Reads the header of an array and checks it against `fileBytes`, the size of its .npy file. `start` gives the
 * file's first bytes. Throws what `error` makes: the rules of `readNpyHeader`, `object`, `dtype`, `missing-bytes`,
 * `left-over-bytes`.
 */
export async function readNpyArray(
  fileBytes: number,
  start: (bytes: number) => Promise<Uint8Array>,
  error: NpyErrorMaker,
): Promise<NpyArray> {
  return npyArray(await readNpyHeader(start, error), fileBytes, error);
}

/** The array of a header. Pure. */
export function npyArray(header: NpyHeader, fileBytes: number, error: NpyErrorMaker): NpyArray {
  const { headerBytes, descr, shape } = header;
  const { dtype, bigEndian } = npyElements(descr, error);
  const wanted = shape.reduce((size, dimension) => size * BigInt(dimension), BigInt(dtype.bits / 8));
  const there = BigInt(fileBytes - headerBytes);
  const sizes = `${dtype.name} of shape [${shape.join(", ")}] takes ${wanted} bytes, ${there} follow the header`;
  if (wanted > there) throw error("missing-bytes", sizes, "the file is cut off: fetch it again");
  if (wanted < there) {
    throw error(
      "left-over-bytes",
      sizes,
      "if several arrays were saved into one file, save them with np.savez, or keep it as bytes with --opaque",
    );
  }
  const columnMajor = header.fortranOrder && shape.length > 1;
  const layout = { ...(bigEndian && { bigEndian }), ...(columnMajor && { columnMajor }) };
  const array = { dtype, shape, offset: headerBytes, bytes: Number(wanted) };
  return bigEndian || columnMajor ? { ...array, layout } : array;
}

/** Makes errors that name a file, and a tensor in it. */
export function npyErrors(file: string, tensor?: string): NpyErrorMaker {
  return (rule, message, remedy) => {
    const whole = remedy === undefined ? message : `${message}; ${remedy}`;
    return new InvalidFileError(file, rule, whole, tensor === undefined ? {} : { tensor });
  };
}
