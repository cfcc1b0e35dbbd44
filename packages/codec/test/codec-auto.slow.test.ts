/**
 * `auto: "lossless"` over real weights, where they lie beside the checkout: in no file may a single codec do
 * better by more than half a percent.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { ContentCutter } from "../src/chunk/fastcdc.ts";
import { ElementGeometry } from "../src/chunk/geometry.ts";
import { decodeChunk, encodeChunk, parsePolicy } from "../src/codec/policy.ts";
import { type DType, dtypeOf } from "../src/tensor/dtype.ts";

const directory = new URL("../../../../shared/data/", import.meta.url);
const files = ["public", "trained-small"]
  .map((folder) => new URL(`${folder}/`, directory))
  .filter((folder) => existsSync(folder))
  .flatMap((folder) =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith(".tsv"))
      .map((entry) => new URL(entry.name, folder).pathname.slice(directory.pathname.length)),
  );
const CHUNK_ELEMENTS = 131_072;

interface Chunk {
  readonly dtype: DType;
  readonly bytes: Uint8Array;
}

/** The chunks that a file is stored in: tensors of safetensors, content-defined pieces of everything else. */
function chunksOf(name: string): Chunk[] {
  const data = new Uint8Array(readFileSync(new URL(name, directory)));
  const chunks: Chunk[] = [];
  if (!name.endsWith(".safetensors")) {
    let start = 0;
    for (const end of new ContentCutter().push(data, true)) {
      chunks.push({ dtype: dtypeOf("uint8"), bytes: data.subarray(start, end) });
      start = end;
    }
    return chunks;
  }
  const headerBytes = Number(new DataView(data.buffer, data.byteOffset).getBigUint64(0, true));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> =
    JSON.parse(new TextDecoder().decode(data.subarray(8, 8 + headerBytes)));
  for (const [tensor, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (tensor === "__metadata__") continue;
    const type = dtypeOf(dtype);
    const bytes = data.subarray(8 + headerBytes + data_offsets[0], 8 + headerBytes + data_offsets[1]);
    const geometry = new ElementGeometry(type, shape, CHUNK_ELEMENTS);
    for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
      const { start, end } = geometry.byteRange(chunk);
      chunks.push({ dtype: type, bytes: bytes.subarray(start, end) });
    }
  }
  return chunks;
}

const auto = parsePolicy("auto");
/** Brotli is not among them: what browsers cannot decode is left to `archive`. */
const others = [
  "planes",
  "zstd",
  { id: "zstd", level: 19 },
  "gzip",
  "lz4",
  "rle",
  "sparse",
  "cluster",
  "entropy",
  ["bitshuffle", "zstd"],
  ["delta", "planes"],
  ["rle", "zstd"],
  // Numbers in opaque bytes.
  { id: "planes", wordBytes: 4 },
  { id: "sparse", elementBytes: 4 },
  { id: "cluster", wordBytes: 4 },
].map((json) => [JSON.stringify(json), parsePolicy(json)] as const);

beforeAll(() => ready());

const names = files.length === 0 ? ["skipped: ../shared/data is absent"] : files;

test.skipIf(files.length === 0).each(names)("%s", (name) => {
  const chunks = chunksOf(name);
  let chosen = 0;
  for (const { dtype, bytes } of chunks) {
    const { steps, payload } = encodeChunk(bytes, dtype, auto);
    expect(Buffer.compare(decodeChunk(payload, steps, bytes.length, dtype), bytes)).toBe(0);
    chosen += payload.length;
  }
  for (const [other, policy] of others) {
    let fixed = 0;
    for (const { dtype, bytes } of chunks) fixed += encodeChunk(bytes, dtype, policy).payload.length;
    expect(chosen, `against ${other}`).toBeLessThanOrEqual(fixed * 1.005);
  }
});
