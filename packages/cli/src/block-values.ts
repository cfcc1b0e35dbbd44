/**
 * Slices of tensors of blocks by their values. The store slices such tensors by whole blocks; what is shown of one that is read as floats is
 * told in values.
 */
import {
  bytesOf,
  type DType,
  dtypeOf,
  planSlice,
  type SliceRange,
  type SliceSpec,
  sliceBytes,
  type TensorData,
  typedArrayOf,
} from "@tensorcask/codec";

/**
 * Reads the values that `spec` names of a tensor of blocks (`dtype`). `spec` has a `[start, stop]` of the values on the last axis; `read`
 * gives a slice by blocks, as values.
 */
export async function sliceValues(
  dtype: DType,
  spec: SliceSpec,
  read: (blocks: SliceSpec) => Promise<TensorData>,
): Promise<TensorData> {
  const inBlock = dtype.block?.elements ?? 1;
  const [start, stop] = spec.at(-1) as SliceRange & readonly [number, number];
  const first = Math.floor(start / inBlock);
  const values = await read([...spec.slice(0, -1), [first, Math.ceil(stop / inBlock)]]);
  const whole = values.shape.slice(0, -1).map(() => null);
  const plan = planSlice(values.shape, [...whole, [start - first * inBlock, stop - first * inBlock]]);
  const type = dtypeOf(values.dtype);
  const data = typedArrayOf(type, sliceBytes(plan, type, bytesOf(values.data)));
  return { dtype: values.dtype, shape: plan.shape, data };
}
