/** Files that NumPy wrote, and headers of any text, for the tests. */
import { readFileSync } from "node:fs";

interface Fixture {
  readonly writer: string;
  readonly headers: readonly { readonly dtype: string; readonly shape: number[]; readonly bytes: string }[];
  readonly arrays: Readonly<Record<string, string>>;
  readonly npz: string;
  readonly npzCompressed: string;
}

const fixture = JSON.parse(
  readFileSync(new URL("fixtures/numpy-written.json", import.meta.url), "utf8"),
) as Fixture;

const decoded = (base64: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(base64, "base64"));

/** Headers as NumPy writes them. */
export const numpyHeaders = fixture.headers.map(({ dtype, shape, bytes }) => ({
  dtype,
  shape,
  bytes: decoded(bytes),
}));

type ArrayName =
  | "v1"
  | "v2"
  | "v3"
  | "fortran"
  | "structured"
  | "text"
  | "dates"
  | "void"
  | "objects"
  | "longdouble";

/**
 * Arrays as NumPy saves them: `v1` to `v3` are 0 to 5 as float32 of shape [2, 3] in each version of the format,
 * `fortran` the same as big-endian, column-major int16.
 */
export const numpyArrays = Object.fromEntries(
  Object.entries(fixture.arrays).map(([name, bytes]) => [name, decoded(bytes)]),
) as Record<ArrayName, Uint8Array<ArrayBuffer>>;

/**
 * An archive as NumPy saves it: `row` (as `v1`), `col` (as `fortran`), `text`, `obj` (objects), `é` (a float16 of
 * 1.5); with `npzCompressed` also `noise` (400 numbers).
 */
export function numpyWritten(name: "npz" | "npzCompressed"): Uint8Array<ArrayBuffer> {
  return decoded(fixture[name]);
}

/** A .npy file with this dict, and `data` bytes behind it. */
export function npyOf(dict: string, data: number | Uint8Array = 0, version = 1): Uint8Array<ArrayBuffer> {
  const text = Buffer.from(dict, "latin1");
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  if (version === 1) length.writeUInt16LE(text.length);
  else length.writeUInt32LE(text.length);
  const tail = typeof data === "number" ? new Uint8Array(data) : data;
  return new Uint8Array(
    Buffer.concat([Buffer.from("\x93NUMPY", "latin1"), Buffer.of(version, 0), length, text, tail]),
  );
}
