/** The part of the suite for what names and checks data: SHA-256, checksums, keys of tensors, and where opaque bytes are cut. */
import {
  ContentCutter,
  checksum64Of,
  createSha256,
  dtypeOf,
  ElementGeometry,
  fromHex,
  sha256,
  sourceHash,
  tensorKey,
  toHex,
} from "@tensorcask/codec";

/** What is computed from some bytes, taken as float32. All but the SHA-256 would differ if anything did on the way. */
export interface Identities {
  readonly sha256: string;
  readonly sha256InPieces: string;
  readonly sha256OfSharedMemory: string;
  readonly checksum64: string;
  /** Where chunks of opaque bytes end, pushed in pieces. */
  readonly cuts: readonly number[];
  /** The ids of the chunks that a tensor of these bytes is cut into. */
  readonly chunkIds: readonly string[];
  readonly sourceHash: string;
  readonly tensorKey: string;
}

const CHUNK_ELEMENTS = 4096;
const PIECE_BYTES = 40_961;

/** The identities of each of these bytes. */
export function identities(hexes: readonly string[]): Identities[] {
  return hexes.map((hex) => identitiesOf(fromHex(hex)));
}

function identitiesOf(bytes: Uint8Array): Identities {
  const state = createSha256();
  const cutter = new ContentCutter();
  const cuts: number[] = [];
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    const piece = bytes.subarray(at, at + PIECE_BYTES);
    state.update(piece);
    cuts.push(...cutter.push(piece, at + PIECE_BYTES >= bytes.length));
  }
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length + 1), 1);
  shared.set(bytes);

  const dtype = dtypeOf("float32");
  const shape = [Math.floor(bytes.length / 4)];
  const geometry = new ElementGeometry(dtype, shape, CHUNK_ELEMENTS);
  const ids = Array.from({ length: geometry.chunkCount }, (_, chunk) => {
    const { start, end } = geometry.byteRange(chunk);
    return sha256(bytes.subarray(start, end));
  });
  const source = sourceHash(Uint8Array.from(ids.flatMap((id) => [...id])));
  const key = tensorKey({
    sourceHash: source,
    dtype,
    shape,
    geometry: "elements",
    chunkElements: CHUNK_ELEMENTS,
    quantizer: { id: "int8", parameters: { granularity: "channel", "Ünïcode ✓": 0.1 } },
  });
  return {
    sha256: toHex(sha256(bytes)),
    sha256InPieces: toHex(state.digest()),
    sha256OfSharedMemory: toHex(sha256(shared)),
    checksum64: toHex(checksum64Of(bytes)),
    cuts,
    chunkIds: ids.map(toHex),
    sourceHash: toHex(source),
    tensorKey: toHex(key),
  };
}
