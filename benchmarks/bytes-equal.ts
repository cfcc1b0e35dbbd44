/** Whether two files hold the same bytes, compared in blocks: what a benchmark asks before it measures. */
import { closeSync, openSync, readSync, statSync } from "node:fs";

const BLOCK_BYTES = 4 * 2 ** 20;

/** Throws when the files differ. */
export function requireEqualFiles(copy: string, original: string): void {
  const bytes = statSync(original).size;
  const found = statSync(copy).size;
  if (found !== bytes) throw new Error(`the copy has ${found} bytes, the original ${bytes}`);
  const left = openSync(copy, "r");
  const right = openSync(original, "r");
  try {
    const one = Buffer.alloc(BLOCK_BYTES);
    const other = Buffer.alloc(BLOCK_BYTES);
    for (let at = 0; at < bytes; at += BLOCK_BYTES) {
      const count = readSync(left, one, 0, BLOCK_BYTES, at);
      readSync(right, other, 0, BLOCK_BYTES, at);
      if (one.compare(other, 0, count, 0, count) !== 0)
        throw new Error(`the copy differs between ${at} and ${at + count}`);
    }
  } finally {
    closeSync(left);
    closeSync(right);
  }
}
