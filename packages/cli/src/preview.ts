/**
 * A tensor on the terminal, as numpy prints it: nested brackets, and of long axes only both ends. Only what is shown is read: the
 * preview of a gigabyte touches a few chunks.
 *
 *     [[ 0.0131 -0.0024 0.0412 ... 0.0007]
 *      ...
 *      [-0.0211  0.0013 0.0098 ... 0.0155]]
 */
import { dtypeOf, elementCount, type SliceSpec, type TensorData } from "@tensorcask/codec";
import { elementReader, elementTexts, type Scalar } from "./element-values.ts";

/** Tensors with more elements are shown by the ends of their axes, like numpy's `threshold`. */
const SHOWN_WHOLE_ELEMENTS = 1000;
/** How many indices are shown at each end of a long axis, like numpy's `edgeitems`. */
const EDGE = 3;
/** Width of lines that hold more than one row's worth of elements, in characters. */
const LINE_CHARACTERS = 78;

/** Which indices of an axis are shown: `[start, stop)` ranges; two of them where the middle is left out. */
export type AxisRanges = readonly (readonly [start: number, stop: number])[];

/** The ranges shown of each axis. Pure. */
export function shownRanges(shape: readonly number[]): AxisRanges[] {
  const whole = elementCount(shape) <= SHOWN_WHOLE_ELEMENTS;
  return shape.map((length) =>
    whole || length <= 2 * EDGE
      ? [[0, length]]
      : [
          [0, EDGE],
          [length - EDGE, length],
        ],
  );
}

/** All ways to pick one range per axis, in row-major order: the blocks that must be read. Pure. */
export function shownBlocks(ranges: readonly AxisRanges[]): SliceSpec[] {
  return ranges.reduce<SliceSpec[]>(
    (blocks, axis) => blocks.flatMap((block) => axis.map((range) => [...block, range])),
    [[]],
  );
}

/** The shown part of a tensor: `shape` counts shown indices only, `gaps[axis]` is true where the middle of an axis is left out. */
export interface Shown {
  readonly shape: readonly number[];
  readonly gaps: readonly boolean[];
  /** Row-major over `shape`. */
  readonly values: readonly Scalar[];
}

function axisLength(ranges: AxisRanges): number {
  return ranges.reduce((sum, [start, stop]) => sum + stop - start, 0);
}

/** The shown part of a tensor in memory. */
export function shownOf(tensor: TensorData): Shown {
  const ranges = shownRanges(tensor.shape);
  let positions = [0];
  for (const [axis, length] of tensor.shape.entries()) {
    const indices = (ranges[axis] ?? []).flatMap(([start, stop]) =>
      Array.from({ length: stop - start }, (_, index) => start + index),
    );
    positions = positions.flatMap((position) => indices.map((index) => position * length + index));
  }
  return {
    shape: ranges.map(axisLength),
    gaps: ranges.map((axis) => axis.length > 1),
    values: positions.map(elementReader(tensor)),
  };
}

/** Reads the shown part of a stored tensor block by block. `read` gives a slice of it without dropped axes. */
export async function readShown(
  shape: readonly number[],
  read: (spec: SliceSpec) => Promise<TensorData>,
): Promise<Shown> {
  const ranges = shownRanges(shape);
  const shownShape = ranges.map(axisLength);
  const values: Scalar[] = new Array<Scalar>(elementCount(shownShape)).fill(0);
  for (const block of shownBlocks(ranges)) {
    place(await read(block), block, ranges, shownShape, values);
  }
  return { shape: shownShape, gaps: ranges.map((axis) => axis.length > 1), values };
}

/** Puts the elements of one block where they are shown. */
function place(
  tensor: TensorData,
  block: SliceSpec,
  ranges: readonly AxisRanges[],
  shownShape: readonly number[],
  values: Scalar[],
): void {
  const element = elementReader(tensor);
  // A block at the far end of an axis is shown behind the first range of that axis.
  const origin = ranges.map((axis, index) => (block[index] === axis[0] ? 0 : EDGE));
  const count = elementCount(tensor.shape);
  for (let flat = 0; flat < count; flat += 1) {
    let left = flat;
    let target = 0;
    let stride = 1;
    for (let axis = tensor.shape.length - 1; axis >= 0; axis -= 1) {
      const length = tensor.shape[axis] ?? 1;
      target += ((left % length) + (origin[axis] ?? 0)) * stride;
      left = Math.floor(left / length);
      stride *= shownShape[axis] ?? 1;
    }
    values[target] = element(flat);
  }
}

/** Lines of the shown part. */
export function shownLines(shown: Shown, dtype: string): string[] {
  const { kind } = dtypeOf(dtype);
  const texts = elementTexts(shown.values, kind === "float" || kind === "exponent");
  if (shown.shape.length === 0) {
    return [texts[0] ?? ""];
  }
  return axisLines(shown, texts, 0, 0);
}

/** The lines of one axis, from the flat position `from` on; without indentation. */
function axisLines(shown: Shown, texts: readonly string[], axis: number, from: number): string[] {
  const length = shown.shape[axis] ?? 0;
  const gap = shown.gaps[axis] === true;
  if (axis === shown.shape.length - 1) {
    const row = texts.slice(from, from + length);
    return wrapped(gap ? [...row.slice(0, EDGE), "...", ...row.slice(EDGE)] : row);
  }
  const stride = elementCount(shown.shape.slice(axis + 1));
  const lines: string[] = [];
  for (let index = 0; index < length; index += 1) {
    if (gap && index === EDGE) {
      lines.push("...");
    }
    lines.push(...axisLines(shown, texts, axis + 1, from + index * stride));
  }
  return bracketed(lines);
}

/** A row in brackets, cut into lines that fit. */
function wrapped(cells: readonly string[]): string[] {
  const lines: string[] = [];
  let line = "";
  for (const cell of cells) {
    if (line !== "" && line.length + 1 + cell.length > LINE_CHARACTERS) {
      lines.push(line);
      line = cell;
    } else {
      line = line === "" ? cell : `${line} ${cell}`;
    }
  }
  return bracketed([...lines, line]);
}

function bracketed(lines: readonly string[]): string[] {
  const inner = lines.length === 0 ? [""] : lines;
  return inner.map(
    (line, index) => `${index === 0 ? "[" : " "}${line}${index === inner.length - 1 ? "]" : ""}`,
  );
}
