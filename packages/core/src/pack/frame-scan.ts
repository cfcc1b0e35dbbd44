/**
 * Walks over the frames in a range of a pack by their headers. Each header says where the next one begins;
 * what is read at once adapts: a few hundred bytes where frames are large, up to a quarter MiB where many
 * small ones lie side by side.
 */
import { DamageError, MAX_HEADER_BYTES, readFrameHeader } from "@tensorcask/codec";
import type { OpenFile } from "../files/file-system.ts";
import type { FrameFacts } from "../model/entry.ts";
import { readExactly } from "./open-packs.ts";

const SMALLEST_WINDOW: number = 2 * MAX_HEADER_BYTES;
const LARGEST_WINDOW: number = 256 * 1024;
/** With so many headers in a window, the next one is larger. */
const MANY_HEADERS = 4;

/**
 * Yields what the headers in [offset, offset + bytes) of a pack say. They must fill the range exactly, else
 * `DamageError`.
 */
export async function* scanFrames(
  file: OpenFile,
  name: string,
  offset: number,
  bytes: number,
): AsyncGenerator<FrameFacts, void> {
  const end = offset + bytes;
  let windowBytes = SMALLEST_WINDOW;
  for (let at = offset; at < end; ) {
    const window = new Uint8Array(Math.min(windowBytes, end - at));
    await readExactly(file, window, at, name);
    const start = at;
    let headers = 0;
    // A header near the window's end waits for the next window, except at the end of the range.
    const last = start + window.length === end;
    while (at < start + window.length && (last || at - start + MAX_HEADER_BYTES <= window.length)) {
      const where = `pack ${name} at ${at}`;
      const header = readFrameHeader(window.subarray(at - start), where);
      if (header.frameBytes > end - at)
        throw new DamageError(where, "a frame reaches over the end of its range");
      const { hash, frameBytes, rawBytes, chain, sibling } = header;
      yield { hash, offset: at, frameBytes, rawBytes, chain, ...(sibling !== undefined && { sibling }) };
      at += frameBytes;
      headers++;
    }
    windowBytes =
      headers >= MANY_HEADERS
        ? Math.min(4 * windowBytes, LARGEST_WINDOW)
        : Math.max(windowBytes / 4, SMALLEST_WINDOW);
  }
}
