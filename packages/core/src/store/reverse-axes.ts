/**
 * The two ways in which elements of a file can lie otherwise than they are stored: other byte order, other order of axes. Both are their own
 * opposite, so that import and export run the same code.
 */

/** Elements of a square that is transposed at once: its rows and columns stay in the first cache. */
const TILE = 32;

/** Element sizes are moved as words of at most 4 bytes: a float array might change the bits of a NaN. */
const MOST_WORD_BYTES = 4;

type Words = Uint8Array | Uint16Array | Uint32Array;

/** Reverses the bytes of each component, in place. `bytes` is whole components of 1, 2, 4 or 8 bytes. */
export function swapByteOrder(bytes: Uint8Array, componentBytes: number): void {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (componentBytes === 2) view.swap16();
  else if (componentBytes === 4) view.swap32();
  else if (componentBytes === 8) view.swap64();
}

/** Words of a run of elements, to be addressed by element number times `wordsPerElement`. */
export function wordsOf(bytes: Uint8Array, elementBytes: number): Words {
  const wordBytes = Math.min(elementBytes, MOST_WORD_BYTES);
  // Slices of larger buffers may start anywhere.
  const { buffer, byteOffset, length } = bytes.byteOffset % wordBytes === 0 ? bytes : bytes.slice();
  if (wordBytes === 1) return new Uint8Array(buffer, byteOffset, length);
  if (wordBytes === 2) return new Uint16Array(buffer, byteOffset, length / 2);
  return new Uint32Array(buffer, byteOffset, length / 4);
}

/** How many of these words an element has. */
export function wordsPerElement(elementBytes: number): number {
  return Math.max(1, elementBytes / MOST_WORD_BYTES);
}

/**
 * Copies a tensor with its axes in reverse order: `into`, of `shape` in row-major order, from `from`, which has the same elements in
 * column-major order (and so is row-major with the shape reversed). Elements have 1, 2, 4, 8 or 16 bytes. `into` is aligned to them.
 */
export function reverseAxes(
  from: Uint8Array,
  into: Uint8Array,
  shape: readonly number[],
  elementBytes: number,
): void {
  const axes = shape.filter((length) => length !== 1);
  if (axes.length < 2 || axes.includes(0)) {
    into.set(from);
    return;
  }
  const source = wordsOf(from, elementBytes);
  const target = wordsOf(into, elementBytes);
  const words = wordsPerElement(elementBytes);
  const rows = axes[0]!;
  const columns = axes.at(-1)!;
  const middle = axes.slice(1, -1);
  const planes = middle.reduce((product, length) => product * length, 1);
  const columnStep = rows * planes;
  const rowStep = planes * columns;
  // The axes between the first and the last are walked as an odometer, the last of them fastest.
  const sourceSteps = middle.map((_, axis) =>
    middle.slice(0, axis).reduce((product, length) => product * length, rows),
  );
  const positions = middle.map(() => 0);
  let sourceStart = 0;
  for (let plane = 0; plane < planes; plane++) {
    transpose(source, target, sourceStart, plane * columns, rows, columns, columnStep, rowStep, words);
    for (let axis = middle.length - 1; axis >= 0; axis--) {
      sourceStart += sourceSteps[axis]!;
      positions[axis]! += 1;
      if (positions[axis]! < middle[axis]!) break;
      sourceStart -= positions[axis]! * sourceSteps[axis]!;
      positions[axis] = 0;
    }
  }
}

/** One plane: target rows are `rowStep` elements apart, source columns `columnStep`; neighbours in the other direction lie side by side. */
function transpose(
  source: Words,
  target: Words,
  sourceStart: number,
  targetStart: number,
  rows: number,
  columns: number,
  columnStep: number,
  rowStep: number,
  words: number,
): void {
  for (let top = 0; top < rows; top += TILE) {
    const bottom = Math.min(rows, top + TILE);
    for (let left = 0; left < columns; left += TILE) {
      const right = Math.min(columns, left + TILE);
      for (let row = top; row < bottom; row++) {
        let to = (targetStart + row * rowStep + left) * words;
        let from = (sourceStart + row + left * columnStep) * words;
        for (let column = left; column < right; column++) {
          for (let word = 0; word < words; word++) target[to + word] = source[from + word]!;
          to += words;
          from += columnStep * words;
        }
      }
    }
  }
}
