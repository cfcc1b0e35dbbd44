/**
 * What others make of a model when they have an earlier one: ZipLLM's recipe (tensors of the same name XORed, byte planes, zstd), zstd with the first
 * file as its dictionary (`--patch-from`), and sharing of exact chunks cut by content (as backup tools and the Hub's xet do), each new one through
 * zstd -3. Every result is decoded again and compared.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { ContentCutter, equalBytes, sha256, toHex } from "@tensorcask/codec";
import { joinPlanes, type PlaneElementBytes, splitPlanes } from "@tensorcask/kernels";

/** A window that reaches over both files; node:zlib's decoder takes no larger one unasked. */
const WINDOW_LOG = 27;

interface SafetensorsEntry {
  readonly dtype: string;
  readonly data_offsets: readonly [number, number];
}

/** Runs of a file of one element size, tensors and what lies around them, by tensor name. */
interface Run {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly elementBytes: number;
}

const elementBytesOf: Readonly<Record<string, number>> = {
  F64: 8,
  I64: 8,
  F32: 4,
  I32: 4,
  BF16: 2,
  F16: 2,
  I16: 2,
};

/** The header and the tensors of a safetensors file; undefined for other files. */
function runsOf(path: string, file: Uint8Array): Run[] | undefined {
  if (!path.endsWith(".safetensors")) return undefined;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start))) as Record<
    string,
    SafetensorsEntry
  >;
  const tensors = Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(
      ([
        name,
        {
          dtype,
          data_offsets: [from, to],
        },
      ]) => ({
        name,
        bytes: file.subarray(start + from, start + to),
        elementBytes: elementBytesOf[dtype] ?? 1,
      }),
    );
  return [{ name: "", bytes: file.subarray(0, start), elementBytes: 1 }, ...tensors];
}

/**
 * Bytes of `second` by XOR with the tensors of the same name and length in `first` (if there is one), byte planes and zstd; undefined where no tensors
 * are found.
 */
export function xorPlanesBytes(
  path: string,
  first: Uint8Array | undefined,
  second: Uint8Array,
  level: number,
): number | undefined {
  const others = new Map((first && runsOf(path, first))?.map((run) => [run.name, run]));
  const runs = runsOf(path, second);
  if (runs === undefined) return undefined;
  let total = 0;
  for (const [elementBytes, same] of Map.groupBy(runs, (run) => run.elementBytes)) {
    const left = Buffer.concat(
      same.map(({ name, bytes }) => {
        const other = others.get(name)?.bytes;
        return other?.length === bytes.length ? bytes.map((byte, at) => byte ^ other[at]!) : bytes;
      }),
    );
    total += planesBytes(left, elementBytes, level);
  }
  return total;
}

/** Each byte plane in a zstd frame of its own. */
function planesBytes(input: Uint8Array, elementBytes: number, level: number): number {
  const isSplit = elementBytes > 1;
  const width = elementBytes as PlaneElementBytes;
  const planes = isSplit ? splitPlanes(input, width, false, new Uint8Array(input.length)) : input;
  const planeBytes = input.length / elementBytes;
  const packed = Array.from({ length: elementBytes }, (_, plane) =>
    zstdCompressSync(planes.subarray(plane * planeBytes, (plane + 1) * planeBytes), zstdLevel(level)),
  );
  const back = Buffer.concat(packed.map((frame) => zstdDecompressSync(frame)));
  requireEqual(isSplit ? joinPlanes(back, width, false, new Uint8Array(input.length)) : back, input);
  return packed.reduce((sum, { length }) => sum + length, 0);
}

/** Bytes of `second` by zstd with `first` as its dictionary. */
export function patchBytes(first: Uint8Array, second: Uint8Array, level: number): number {
  const params = {
    [constants.ZSTD_c_compressionLevel]: level,
    [constants.ZSTD_c_windowLog]: WINDOW_LOG,
    [constants.ZSTD_c_enableLongDistanceMatching]: 1,
  };
  const packed = zstdCompressSync(second, { dictionary: first, params });
  requireEqual(
    zstdDecompressSync(packed, {
      dictionary: first,
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG },
    }),
    second,
  );
  return packed.length;
}

/** Bytes of the chunks of `second`, 64 KiB on average, that `first` does not have, through zstd -3. */
export function sharedChunksBytes(first: Uint8Array, second: Uint8Array): number {
  const known = new Set(chunksOf(first).map((chunk) => toHex(sha256(chunk))));
  let total = 0;
  for (const chunk of chunksOf(second)) {
    const hash = toHex(sha256(chunk));
    if (known.has(hash)) continue;
    known.add(hash);
    total += Math.min(chunk.length, zstdCompressSync(chunk, zstdLevel(3)).length);
  }
  return total;
}

function chunksOf(file: Uint8Array): Uint8Array[] {
  let start = 0;
  return [...new ContentCutter().push(file, true)].map((end) => {
    const chunk = file.subarray(start, end);
    start = end;
    return chunk;
  });
}

function zstdLevel(level: number): { params: Record<number, number> } {
  return { params: { [constants.ZSTD_c_compressionLevel]: level } };
}

function requireEqual(found: Uint8Array, expected: Uint8Array): void {
  if (!equalBytes(found, expected)) throw new Error("what a peer gave back is not what it was given");
}
