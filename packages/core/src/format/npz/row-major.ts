/**
 * Turns a stream of column-major elements (Fortran order: the first axis varies fastest) into row-major ones with
 * bounded memory: the result is made slab by slab, and for each slab the stream is read from its beginning.
 *
 *     shape [3, 2]      stream   00 10 20 01 11 21      result   00 01 | 10 11 | 20 21
 */

/** Bytes of the result that are held at a time. */
export const MAX_SLAB_BYTES: number = 64 * 1024 * 1024;
/** Most slabs: each is one pass over the stream. */
export const MAX_SLABS = 64;

/** Groups pieces so that each holds whole elements. */
export async function* wholeElements(
  pieces: AsyncIterable<Uint8Array>,
  elementBytes: number,
): AsyncGenerator<Uint8Array> {
  let rest = new Uint8Array(0);
  for await (const piece of pieces) {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    const whole = bytes.length - (bytes.length % elementBytes);
    if (whole > 0) yield bytes.subarray(0, whole);
    rest = new Uint8Array(bytes.subarray(whole));
  }
}

/**
 * Row-major elements of a tensor of `shape`, from `elements`, which gives all of them column-major in pieces of whole
 * elements, each time it is called. A piece is valid until the next one is asked for.
 */
export async function* rowMajor(
  shape: readonly number[],
  elementBytes: number,
  elements: () => AsyncIterable<Uint8Array>,
  slabBytes: number = MAX_SLAB_BYTES,
): AsyncGenerator<Uint8Array> {
  const count = shape.reduce((product, length) => product * length, 1);
  const slabElements = Math.max(1, Math.min(count, Math.floor(slabBytes / elementBytes)));
  const slab = new Uint8Array(slabElements * elementBytes);
  for (let begin = 0; begin < count; begin += slabElements) {
    const end = Math.min(count, begin + slabElements);
    const scatter = new Scatter(shape, elementBytes, slab, begin, end);
    for await (const piece of elements()) scatter.take(piece);
    yield slab.subarray(0, (end - begin) * elementBytes);
  }
}

type Words = Uint8Array | Uint16Array | Uint32Array;

/** Places the column-major elements that it takes at their row-major positions, those of `begin` to `end` only. */
class Scatter {
  readonly #rows: number;
  readonly #rowLength: number;
  /** Lengths and row-major strides of the axes behind the first. */
  readonly #lengths: readonly number[];
  readonly #strides: readonly number[];
  readonly #index: number[];
  readonly #elementBytes: number;
  readonly #slab: Words;
  readonly #begin: number;
  readonly #end: number;
  /** The next element: its row (index on the first axis), and the position of its column within each row. */
  #row = 0;
  #column = 0;

  constructor(shape: readonly number[], elementBytes: number, slab: Uint8Array, begin: number, end: number) {
    const strides = new Array<number>(shape.length);
    let stride = 1;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      strides[axis] = stride;
      stride *= shape[axis]!;
    }
    this.#rows = shape[0]!;
    this.#rowLength = strides[0]!;
    this.#lengths = shape.slice(1);
    this.#strides = strides.slice(1);
    this.#index = this.#lengths.map(() => 0);
    this.#elementBytes = elementBytes;
    this.#slab = wordsOf(slab, elementBytes);
    this.#begin = begin;
    this.#end = end;
  }

  take(piece: Uint8Array): void {
    // A copy, so that words are aligned.
    const words = wordsOf(new Uint8Array(piece), this.#elementBytes);
    const wordsEach = this.#elementBytes / words.BYTES_PER_ELEMENT;
    const count = words.length / wordsEach;
    for (let taken = 0; taken < count; ) {
      const run = Math.min(this.#rows - this.#row, count - taken);
      // Rows of this column that lie in the slab.
      const first = Math.max(this.#row, Math.ceil((this.#begin - this.#column) / this.#rowLength));
      const last = Math.min(this.#row + run, Math.ceil((this.#end - this.#column) / this.#rowLength));
      if (first < last) this.#copy(words, (taken + first - this.#row) * wordsEach, first, last, wordsEach);
      taken += run;
      this.#row += run;
      if (this.#row === this.#rows) this.#nextColumn();
    }
  }

  #copy(words: Words, from: number, first: number, last: number, wordsEach: number): void {
    const slab = this.#slab;
    const step = this.#rowLength * wordsEach;
    let to = (first * this.#rowLength + this.#column - this.#begin) * wordsEach;
    let at = from;
    for (let row = first; row < last; row++) {
      for (let word = 0; word < wordsEach; word++) slab[to + word] = words[at + word]!;
      at += wordsEach;
      to += step;
    }
  }

  #nextColumn(): void {
    this.#row = 0;
    for (let axis = 0; axis < this.#index.length; axis++) {
      this.#column += this.#strides[axis]!;
      if (++this.#index[axis]! < this.#lengths[axis]!) return;
      this.#column -= this.#strides[axis]! * this.#lengths[axis]!;
      this.#index[axis] = 0;
    }
  }
}

/** Bytes as words of up to four bytes that make up whole elements. */
function wordsOf(bytes: Uint8Array, elementBytes: number): Words {
  const { buffer, byteOffset, byteLength } = bytes;
  if (elementBytes === 1) return bytes;
  if (elementBytes === 2) return new Uint16Array(buffer, byteOffset, byteLength / 2);
  return new Uint32Array(buffer, byteOffset, byteLength / 4);
}
