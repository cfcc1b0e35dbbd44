/**
 * Takes in tensors that are quantized. Two passes over the source: the first hashes it and finds the ranges, or why it cannot be quantized; the
 * second codes. The second is left out when the store has the result already.
 */
import {
  BUNDLED_BELOW_BYTES,
  byteLength,
  bytesOfElements,
  CancelledError,
  type CodecPolicy,
  type DType,
  ElementGeometry,
  type PresetQuantizer,
  type QuantizationError,
  type QuantizePlan,
  quantizerOf,
  sha256,
  sourceHash,
  tensorKey,
  ValuesGeometry,
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
  readonly chunkElements: number;
  readonly quantizer: PresetQuantizer;
  /** Its bytes, for the second pass. */
  readonly read: ReadBytes;
  /** What the quantizer plans, or why it refuses. */
  readonly plan: QuantizePlan | { readonly refused: string };
  readonly sourceHash: Uint8Array;
  /** The error, where it was measured ahead of the second pass. */
  readonly error?: QuantizationError;
}

/** How a quantized tensor is stored. */
export interface QuantizedAs {
  readonly key: Uint8Array;
  readonly policy: CodecPolicy;
  /** Why this quantizer; undefined where the preset has no other. */
  readonly note: string | undefined;
}

/** The first pass. */
export async function scanTensor(
  bytes: TensorBytes,
  dtype: DType,
  shape: readonly number[],
  quantizer: PresetQuantizer,
  chunkElements: number,
  signal?: AbortSignal,
): Promise<ScannedTensor> {
  const { id, parameters } = quantizer;
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
  return {
    dtype,
    shape,
    chunkElements,
    quantizer,
    read: kept === undefined ? bytes.again : bytesInMemory(kept).again,
    plan: scan.finish(),
    sourceHash: sourceHash(concatenate(hashes)),
  };
}

/**
 * The key of the result. The same tensor that was quantized so for another reason is a tensor of its own, since it says why; its chunks are the same.
 *
 * @param note why this quantizer was chosen
 */
export function quantizedKey(
  { dtype, shape, chunkElements, quantizer: { id, parameters }, sourceHash }: ScannedTensor,
  note: string | undefined,
): Uint8Array {
  const quantizer = { id, parameters, ...(note !== undefined && { note }) };
  return tensorKey({ sourceHash, dtype, shape, geometry: "elements", chunkElements, quantizer });
}

/** What the second pass would lose: it is made, and nothing is kept of it but the error. */
export async function measureError(
  { dtype, shape, chunkElements, read }: ScannedTensor,
  plan: QuantizePlan,
  signal?: AbortSignal,
): Promise<QuantizationError> {
  const values = plan.arrays.find(({ role }) => role === "values")!;
  const geometry = new ValuesGeometry(values, shape, chunkElements);
  const encode = chunkEncoder(dtype, geometry, read, plan);
  for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
    if (signal?.aborted) throw new CancelledError("the operation", { cause: signal.reason });
    await encode(chunk);
  }
  return plan.error();
}

/** The second pass. */
export async function quantizeTensor(
  { dtype, shape, chunkElements, quantizer, read, error }: ScannedTensor,
  plan: QuantizePlan,
  { key, policy, note }: QuantizedAs,
  feeder: ArrayFeeder,
): Promise<PendingTensor> {
  const arrays: PendingArray[] = [];
  for (const { role, dtype: arrayDType, shape: arrayShape } of plan.arrays) {
    const array: PendingArray = { role, dtype: arrayDType.code, shape: arrayShape, place: { chunks: [] } };
    arrays.push(array);
    if (role === "values") {
      const geometry = new ValuesGeometry({ dtype: arrayDType, shape: arrayShape }, shape, chunkElements);
      await feedValues(array, arrayDType, dtype, geometry, read, plan, policy, feeder);
    } else await feedSide(array, arrayDType, plan.side[role]!, policy, feeder);
  }
  return {
    key,
    dtype: dtype.code,
    shape,
    geometry: "elements",
    quantization: {
      quantizer: quantizer.id,
      parameters: quantizer.parameters,
      error: error ?? plan.error(),
      bitsPerWeight: plan.bitsPerWeight,
    },
    note,
    arrays,
    policy,
    id: 0,
  };
}

/** Values are cut by their own dtype and shape; each chunk is made of the source elements that it covers. */
async function feedValues(
  array: PendingArray,
  dtype: DType,
  sourceDType: DType,
  geometry: ValuesGeometry,
  read: ReadBytes,
  plan: QuantizePlan,
  policy: CodecPolicy,
  feeder: ArrayFeeder,
): Promise<void> {
  const encode = chunkEncoder(sourceDType, geometry, read, plan);
  if (byteLength(dtype, array.shape) >= BUNDLED_BELOW_BYTES) {
    await feeder.made(array, dtype, geometry.chunkCount, encode, policy);
    return;
  }
  const parts: Uint8Array[] = [];
  for (let chunk = 0; chunk < geometry.chunkCount; chunk++) parts.push((await encode(chunk)).slice());
  array.place = { small: concatenate(parts) };
}

/** Quantizes the elements of one chunk of `values`; one at a time. */
function chunkEncoder(
  sourceDType: DType,
  geometry: ValuesGeometry,
  read: ReadBytes,
  plan: QuantizePlan,
): (chunk: number) => Promise<Uint8Array> {
  const buffer = new Uint8Array(bytesOfElements(sourceDType, geometry.count(0)));
  return async (chunk) => {
    const first = geometry.first(chunk);
    const view = buffer.subarray(0, bytesOfElements(sourceDType, geometry.count(chunk)));
    await read(view, bytesOfElements(sourceDType, first));
    return plan.encode(view, first);
  };
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
