/** Git LFS leaves a small text in place of a file that was not fetched: the likeliest reason why a model is none. */

/** How a pointer begins: `version https://git-lfs.github.com/spec/v1`. */
const POINTER = "version https://git-lfs.";
/** Pointers have about 130 bytes, by their specification fewer than 1,024. */
const MAX_POINTER_BYTES = 1024;

/** What to do about a file that is a pointer; undefined when it is none. `head` are its first bytes. */
export function lfsAdvice(head: Uint8Array, fileBytes: number): string | undefined {
  const begins = Buffer.from(head.subarray(0, POINTER.length)).toString("latin1") === POINTER;
  return begins && fileBytes < MAX_POINTER_BYTES
    ? "it is a Git LFS pointer, not the file itself: run `git lfs pull` first"
    : undefined;
}
