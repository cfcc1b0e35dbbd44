/**
 * Content-defined cutting of opaque bytes (FastCDC: gear hash, normalised, 16/64/256 KiB). A byte inserted
 * near the start of a file moves the cuts near it and no others, so that the rest of the chunks are found
 * again; bytes are cut before they are compressed, because compressed bytes have nothing in common.
 *
 *   stream  |......cut......|....cut....|.........cut|        cuts depend on the content before them only, not on how it is fed
 *
 * The cutting itself is a kernel; what is fixed here are the sizes that stores use. They decide what is
 * shared between imports: changing them harms no stored data, but new imports share nothing with old ones.
 */
import { ContentCutter, CUT_SIZES } from "@tensorcask/kernels";

export { ContentCutter };

/** No chunk of opaque bytes is shorter, but the last one of a stream. */
export const MIN_CONTENT_CHUNK_BYTES: number = CUT_SIZES.minimumBytes;
/** What normalisation draws sizes towards. */
export const AVERAGE_CONTENT_CHUNK_BYTES: number = CUT_SIZES.averageBytes;
/** No chunk of opaque bytes is longer. */
export const MAX_CONTENT_CHUNK_BYTES: number = CUT_SIZES.maximumBytes;
