/**
 * Takes in tensors that are quantized. Two passes over the source: the first hashes it and finds the ranges, or why it cannot be quantized; the
 * second codes. The second is left out when the store has the result already.
 */
import {
  BUNDLED_BELOW_BYTES,
  byteLength,
  CancelledError,
  type CodecPolicy,
  type DType,
  ElementGeometry,
  type Preset,
  type QuantizePlan,
  quantizerOf,
  sha256,
  sourceHash,
  tensorKey,
} from "@tensorcask/codec";
import type { ArrayFeeder } from "./array-feeder.ts";
import type { PendingArray, PendingTensor } from "./pending.ts";
import { bytesInMemory, concatenate, type ReadBytes, type TensorBytes } from "./tensor-bytes.ts";

/** A tensor is read twice; up to this size its bytes are kept in memory in between. */
const KEPT_BETWEEN_PASSES_BYTES = 8 * 1024 * 1024;

/** A tensor between the two passes. */
export interface ScannedTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly geometry: ElementGeometry;
  /** Its bytes, for the second pass. */
  readonly read: ReadBytes;
  /** What the quantizer plans, or why it refuses. */
  readonly plan: QuantizePlan | { readonly refused: string };
  /** The key of the result, when the quantizer does not refuse. */
  readonly key: Uint8Array;
}

/** The first pass. */
export async function scanTensor(
  bytes: TensorBytes,
  dtype: DType,
  shape: readonly number[],
  { id, parameters }: NonNullable<Preset["quantizer"]>,
  chunkElements: number,
  signal?: AbortSignal,
): Promise<ScannedTensor> {
  const scan = quantizerOf(id).begin({ dtype, shape }, parameters);
  const total = byteLength(dtype, shape);
  const geometry = new ElementGeometry(dtype, shape, chunkElements);
  const kept = total <= KEPT_BETWEEN_PASSES_BYTES ? new Uint8Array(total) : undefined;
  const buffer = kept ?? new Uint8Array(largestChunk(geometry));
  const hashes: Uint8Array[] = [];
  for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
    if (signal?.aborted) throw new CancelledError("the operation", { cause: signal.reason });
    const { start, end } = geometry.byteRange(chunk);
    const view = kept === undefined ? buffer.subarray(0, end - start) : kept.subarray(start, end);
    await bytes.first(view, start);
    hashes.push(sha256(view));
    scan.push(view, geometry.first(chunk));
  }
  const source = sourceHash(concatenate(hashes));
  return {
    dtype,
    shape,
    geometry,
    read: kept === undefined ? bytes.again : bytesInMemory(kept).again,
    plan: scan.finish(),
    key: tensorKey({
      sourceHash: source,
      dtype,
      shape,
      geometry: "elements",
      chunkElements,
      quantizer: { id, parameters },
    }),
  };
}

/** The second pass. */
export async function quantizeTensor(
  { dtype, shape, geometry, read, key }: ScannedTensor,
  plan: QuantizePlan,
  preset: Preset,
  feeder: ArrayFeeder,
): Promise<PendingTensor> {
  const { id, parameters } = preset.quantizer!;
  const arrays: PendingArray[] = [];
  for (const { role, dtype: arrayDType, shape: arrayShape } of plan.arrays) {
    const array: PendingArray = { role, dtype: arrayDType.code, shape: arrayShape, place: { chunks: [] } };
    arrays.push(array);
    if (role === "values") await feedValues(array, arrayDType, geometry, read, plan, preset.codec, feeder);
    else await feedSide(array, arrayDType, plan.side[role]!, preset.codec, feeder);
  }
  return {
    key,
    dtype: dtype.code,
    shape,
    geometry: "elements",
    quantization: { quantizer: id, parameters, error: plan.error(), bitsPerWeight: plan.bitsPerWeight },
    note: undefined,
    arrays,
    policy: preset.codec,
    id: 0,
  };
}

/** Values have the source's shape, so their chunks cover the same elements. */
async function feedValues(
  array: PendingArray,
  dtype: DType,
  source: ElementGeometry,
  read: ReadBytes,
  plan: QuantizePlan,
  policy: CodecPolicy,
  feeder: ArrayFeeder,
): Promise<void> {
  const buffer = new Uint8Array(largestChunk(source));
  const encode = async (chunk: number): Promise<Uint8Array> => {
    const { start, end } = source.byteRange(chunk);
    const view = buffer.subarray(0, end - start);
    await read(view, start);
    return plan.encode(view, source.first(chunk));
  };
  if (byteLength(dtype, array.shape) >= BUNDLED_BELOW_BYTES) {
    await feeder.made(array, dtype, source.chunkCount, encode, policy);
    return;
  }
  const parts: Uint8Array[] = [];
  for (let chunk = 0; chunk < source.chunkCount; chunk++) parts.push((await encode(chunk)).slice());
  array.place = { small: concatenate(parts) };
}

async function feedSide(
  array: PendingArray,
  dtype: DType,
  bytes: Uint8Array,
  policy: CodecPolicy,
  feeder: ArrayFeeder,
): Promise<void> {
  if (bytes.length < BUNDLED_BELOW_BYTES) array.place = { small: bytes };
  else await feeder.elements(array, { dtype, shape: array.shape, read: bytesInMemory(bytes).first }, policy);
}

/** No chunk is larger than the first. */
function largestChunk(geometry: ElementGeometry): number {
  return geometry.chunkCount === 0 ? 0 : geometry.byteRange(0).end;
}
