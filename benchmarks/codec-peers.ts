/**
 * What others make of the same bytes, in the same run and on one thread: zstd at three levels, byte planes + zstd (ZipNN's and HDF5's
 * recipe), and Blosc as Zarr uses it (numcodecs, WebAssembly; this binding shuffles elements of 4 bytes whatever the input has). gzip, LZ4 and brotli are codecs of ours and stand in their rows.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { equalBytes } from "@tensorcask/codec";
import { joinPlanes, type PlaneElementBytes, splitPlanes } from "@tensorcask/kernels";
import { Blosc } from "numcodecs";

/** Blosc splits long inputs into blocks of its own; one call takes this much, as a Zarr chunk would. */
const BLOSC_CALL_BYTES = 2 ** 20;

/** A peer that has coded an input and been checked on it. */
export interface CodecPeer {
  readonly name: string;
  /** Bytes of what it made of the input. */
  readonly bytes: number;
  readonly encode: () => Promise<void> | void;
  readonly decode: () => Promise<void> | void;
}

/** The peer that speeds are given in multiples of. */
export const REFERENCE = "zstd -3";

const zstdLevel = (level: number): { params: Record<number, number> } => ({
  params: { [constants.ZSTD_c_compressionLevel]: level },
});

/** Every peer on an input whose elements have `elementBytes` bytes. */
export async function codecPeers(input: Uint8Array, elementBytes: number): Promise<CodecPeer[]> {
  const peers = [1, 3, 19].map((level) => zstdPeer(input, level));
  if (elementBytes === 2 || elementBytes === 4 || elementBytes === 8) {
    for (const level of [3, 19]) peers.push(planesPeer(input, elementBytes, level));
  }
  peers.push(await bloscPeer("Blosc zstd, shuffle", input, "zstd", Blosc.SHUFFLE));
  peers.push(await bloscPeer("Blosc lz4, bitshuffle", input, "lz4", Blosc.BITSHUFFLE));
  return peers;
}

function zstdPeer(input: Uint8Array, level: number): CodecPeer {
  const packed = zstdCompressSync(input, zstdLevel(level));
  const name = `zstd -${level}`;
  requireEqual(name, zstdDecompressSync(packed), input);
  return {
    name,
    bytes: packed.length,
    encode: () => void zstdCompressSync(input, zstdLevel(level)),
    decode: () => void zstdDecompressSync(packed),
  };
}

/** Planes of the whole input, one behind the other, as one zstd frame. */
function planesPeer(input: Uint8Array, elementBytes: PlaneElementBytes, level: number): CodecPeer {
  const planes = new Uint8Array(input.length);
  const joined = new Uint8Array(input.length);
  const encode = (): Uint8Array =>
    zstdCompressSync(splitPlanes(input, elementBytes, false, planes), zstdLevel(level));
  const packed = encode();
  const decode = (): Uint8Array => joinPlanes(zstdDecompressSync(packed), elementBytes, false, joined);
  const name = `byte planes + zstd -${level}`;
  requireEqual(name, decode(), input);
  return { name, bytes: packed.length, encode: () => void encode(), decode: () => void decode() };
}

async function bloscPeer(
  name: string,
  input: Uint8Array,
  cname: "zstd" | "lz4",
  shuffle: number,
): Promise<CodecPeer> {
  const codec = Blosc.fromConfig({ id: "blosc", cname, shuffle, clevel: 5, blocksize: 0 });
  const pieces = piecesOf(input);
  const packed: Uint8Array[] = [];
  for (const piece of pieces) packed.push((await codec.encode(piece)).slice());
  for (const [index, piece] of pieces.entries())
    requireEqual(name, await codec.decode(packed[index]!), piece);
  return {
    name,
    bytes: packed.reduce((sum, piece) => sum + piece.length, 0),
    encode: async () => {
      for (const piece of pieces) await codec.encode(piece);
    },
    decode: async () => {
      for (const piece of packed) await codec.decode(piece);
    },
  };
}

function piecesOf(input: Uint8Array): Uint8Array[] {
  return Array.from({ length: Math.ceil(input.length / BLOSC_CALL_BYTES) }, (_, index) =>
    input.subarray(index * BLOSC_CALL_BYTES, (index + 1) * BLOSC_CALL_BYTES),
  );
}

function requireEqual(name: string, got: Uint8Array, wanted: Uint8Array): void {
  if (!equalBytes(got, wanted)) throw new Error(`${name} gave other bytes back`);
}
