/** Where a kernel's result goes: the caller's buffer if it gave one, else a new one. */

/**
 * A view of exactly `bytes` bytes to write to.
 *
 * @throws RangeError when `out` is shorter than `bytes`.
 */
export function outputOf(out: Uint8Array | undefined, bytes: number): Uint8Array {
  if (out === undefined) return new Uint8Array(bytes);
  if (out.length < bytes) throw new RangeError(`out holds ${out.length} bytes, the result takes ${bytes}`);
  return out.length === bytes ? out : out.subarray(0, bytes);
}
