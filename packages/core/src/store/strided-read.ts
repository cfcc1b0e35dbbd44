/**
 * Reads elements that lie apart: `outer.count` groups, each of `inner.count` elements. Groups that lie close together come with one read,
 * gaps and all; several reads run at once.
 */
import type { ReadBytes } from "./tensor-bytes.ts";

/** Gaps up to this size are read with what lies around them: cached pages are copied in less time than a read of its own takes. */
const JOINED_GAP_BYTES = 64 * 1024;

/** Bytes of one read, where it is up to us. */
const WINDOW_BYTES = 1024 * 1024;

/** Reads under way at a time: as many as the system's threads take. */
const READS_AT_ONCE = 4;

/** So many, so many elements apart. */
export interface Steps {
  readonly count: number;
  readonly step: number;
}

/** Fills `into` with the elements, group by group. `first` and the steps count elements; `outer` steps do not run back into a group. */
export async function readStrided(
  read: ReadBytes,
  into: Uint8Array,
  elementBytes: number,
  first: number,
  outer: Steps,
  inner: Steps,
): Promise<void> {
  const perWindow = Math.max(1, Math.floor(WINDOW_BYTES / elementBytes / inner.step));
  for (let from = 0; from < inner.count; from += perWindow) {
    const count = Math.min(perWindow, inner.count - from);
    const span = (count - 1) * inner.step + 1;
    const isClose = (outer.step - span) * elementBytes <= JOINED_GAP_BYTES;
    const joined = isClose ? Math.max(1, Math.floor(WINDOW_BYTES / elementBytes / outer.step)) : 1;
    const windowBytes = ((Math.min(joined, outer.count) - 1) * outer.step + span) * elementBytes;
    const buffers = Array.from({ length: READS_AT_ONCE }, () => new Uint8Array(windowBytes));
    const readWindow = async (buffer: Uint8Array, group: number): Promise<void> => {
      const groups = Math.min(joined, outer.count - group);
      const window = buffer.subarray(0, ((groups - 1) * outer.step + span) * elementBytes);
      await read(window, (first + group * outer.step + from * inner.step) * elementBytes);
      for (let index = 0; index < groups; index++) {
        const at = ((group + index) * inner.count + from) * elementBytes;
        const taken = window.subarray(index * outer.step * elementBytes);
        pick(taken, into.subarray(at, at + count * elementBytes), elementBytes, inner.step);
      }
    };
    for (let group = 0; group < outer.count; ) {
      const reads: Promise<void>[] = [];
      for (const buffer of buffers) {
        if (group >= outer.count) break;
        reads.push(readWindow(buffer, group));
        group += joined;
      }
      await Promise.all(reads);
    }
  }
}

/** Fills `into` with the elements at 0, step, 2 steps, ... of `window`. */
function pick(window: Uint8Array, into: Uint8Array, elementBytes: number, step: number): void {
  if (step === 1 && into.length > 16) {
    into.set(window.subarray(0, into.length));
    return;
  }
  for (let at = 0, from = 0; at < into.length; at += elementBytes, from += step * elementBytes) {
    for (let byte = 0; byte < elementBytes; byte++) into[at + byte] = window[from + byte]!;
  }
}
