/**
 * Slots: the buffers that work passes through on its way between the disk, the threads and the caller.
 *
 *   +--------------------------+-------------------------------------------+- - - - - - - - - - - - - - - - - - - -+
 *   | input, `slotBytes`       | output, `slotBytes` + room for headers    | siblings, as long as the output       |
 *   +--------------------------+-------------------------------------------+- - - - - - - - - - - - - - - - - - - -+
 *
 * All parts are SharedArrayBuffers, so a worker reads and writes them in place and nothing is copied or transferred. The third, for frames
 * of chunks that those of the input are coded against, is made when it is needed first; the memory budget counts it from the beginning.
 * A slot has one owner at a time: whoever acquired it, or the worker that a job was handed to. The pool of slots bounds the
 * memory of imports, exports and large reads: who needs a slot waits until one is free.
 */

/** Headers of frames that do not shrink: a few dozen bytes for each chunk of at least 4 KiB, or the one chunk of a slot. */
const OUTPUT_SLACK = 1 / 32;

export interface Slot {
  readonly input: Uint8Array;
  readonly output: Uint8Array;
  /** Undefined until `siblingRegion` makes it. */
  sibling?: Uint8Array;
}

/** Parts of a slot, all of about the same length: what a slot takes of the memory budget. */
export const SLOT_PARTS = 3;

function newSlot(slotBytes: number): Slot {
  const outputBytes = slotBytes + Math.ceil(slotBytes * OUTPUT_SLACK) + 65_536;
  return {
    input: new Uint8Array(new SharedArrayBuffer(slotBytes)),
    output: new Uint8Array(new SharedArrayBuffer(outputBytes)),
  };
}

/** Room in a slot for frames of siblings. Any chunk that fits the input fits in here as a frame. */
export function siblingRegion(slot: Slot): Uint8Array {
  slot.sibling ??= new Uint8Array(new SharedArrayBuffer(slot.output.length));
  return slot.sibling;
}

export class SlotPool {
  readonly slotBytes: number;
  readonly #limit: number;
  readonly #free: Slot[] = [];
  readonly #waiting: ((slot: Slot) => void)[] = [];
  #made = 0;

  constructor(slotBytes: number, limit: number) {
    this.slotBytes = slotBytes;
    this.#limit = limit;
  }

  /** How many slots can be in use at once. */
  get limit(): number {
    return this.#limit;
  }

  /** A slot of one's own; waits for one to be released when all are in use. */
  async acquire(): Promise<Slot> {
    return this.tryAcquire() ?? new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** A slot if one is free at once. Whoever holds a slot must not wait for another one: all may be held by those who wait. */
  tryAcquire(): Slot | undefined {
    const free = this.#free.pop();
    if (free !== undefined || this.#made >= this.#limit) return free;
    this.#made += 1;
    return newSlot(this.slotBytes);
  }

  /** Gives a slot back; its contents may be overwritten at once. */
  release(slot: Slot): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(slot);
    else next(slot);
  }
}
