/**
 * The rule for small arrays. An array of its own chunk costs a frame header, a catalog row and an id; a model
 * has thousands of norms and biases, and a store of small records has nothing else. So arrays under 4 KiB
 * share chunks ("bundles"), those of one dtype together, one slot each, back to back:
 *
 *   bundle = | slot | slot | slot | ...      slots are whole bytes; a slot is found by (bundle, offset), its length by dtype and shape
 *
 * One dtype per bundle keeps elements aligned, so that plane coding works on bundles as on any other chunk.
 * How slots are packed is the store's affair.
 */

/**
 * Arrays with fewer bytes than this are bundled: at 4 KiB a chunk of one's own costs under 5 % in headers and
 * index.
 */
export const BUNDLED_BELOW_BYTES = 4096;

/**
 * A bundle is closed before it grows beyond this. A read of one slot decodes the whole bundle, so bundles
 * stay smaller than chunks: 64 KiB decode in well under a millisecond, and 16 full slots at least share the
 * overhead.
 */
export const MAX_BUNDLE_BYTES = 65_536;

/** Whether an array of so many bytes goes into a bundle. Empty arrays take no slot and no chunk. */
export function isBundled(bytes: number): boolean {
  return bytes > 0 && bytes < BUNDLED_BELOW_BYTES;
}
