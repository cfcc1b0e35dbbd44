/**
 * Slices of tensors: what a slice selects, as a plan of contiguous element runs in the source. Planning is pure and costs nothing per run, so that a
 * slice of a terabyte tensor is planned as fast as one of a vector; runs are walked with a cursor.
 *
 * Like NumPy's basic slices: an integer drops its axis, negative numbers count from the end, ranges are clamped to the axis. Unlike
 * NumPy, an integer out of range and a step below 1 are errors, for every axis.
 */
import { UsageError } from "../errors/errors.ts";
import type { DType } from "./dtype.ts";
import { packElements, unpackElements } from "./packed.ts";
import { elementCount, stridesOf } from "./shape.ts";

/** `[start, stop]` or `[start, stop, step]`; null is the end of the axis on that side. */
export type SliceRange =
  | readonly [start: number | null, stop: number | null]
  | readonly [start: number | null, stop: number | null, step: number];

/** One entry per axis, from the first on: null takes the whole axis, a number one index (and drops the axis). Missing trailing axes are whole. */
export type SliceSpec = readonly (null | number | SliceRange)[];

/** One loop over runs: `count` steps of `stride` source elements. */
export interface SliceLoop {
  readonly count: number;
  readonly stride: number;
}

/** What a slice selects. Made by `planSlice`; walked by `RunCursor` or `forEachRun`. */
export interface SlicePlan {
  /** Shape of the result. */
  readonly shape: readonly number[];
  /** Elements of the result. */
  readonly elements: number;
  /** Source element of the first run. */
  readonly first: number;
  /** Elements of every run. */
  readonly runLength: number;
  readonly runCount: number;
  /** The loops around a run, outermost first. */
  readonly loops: readonly SliceLoop[];
}

/**
 * Plans a slice of a tensor of `shape`.
 *
 * @throws UsageError (field `slice`) naming the axis, such as "axis 1: index 7 is out of range for length 5"
 */
export function planSlice(shape: readonly number[], spec: SliceSpec): SlicePlan {
  elementCount(shape);
  if (spec.length > shape.length) {
    throw new UsageError("slice", `the slice names ${spec.length} axes, the tensor has ${shape.length}`);
  }
  const strides = stridesOf(shape);
  const result: number[] = [];
  const loops: SliceLoop[] = [];
  let first = 0;
  for (let axis = 0; axis < shape.length; axis++) {
    const length = shape[axis]!;
    const entry = spec[axis] ?? null;
    if (typeof entry === "number") {
      first += indexOf(entry, length, axis) * strides[axis]!;
      continue;
    }
    const { start, step, count } = rangeOf(entry, length, axis);
    result.push(count);
    first += start * strides[axis]!;
    if (count !== 1) loops.push({ count, stride: step * strides[axis]! });
  }
  const elements = elementCount(result, "slice");
  if (elements === 0) return { shape: result, elements, first: 0, runLength: 0, runCount: 0, loops: [] };
  // Inner loops whose steps continue where the run ends are part of the run.
  let runLength = 1;
  while (loops.length > 0 && loops.at(-1)!.stride === runLength) runLength *= loops.pop()!.count;
  return { shape: result, elements, first, runLength, runCount: elements / runLength, loops };
}

/** Walks the runs of a plan, in the order of the result: call `next()` until it is false, then read `start`. */
export class RunCursor {
  /** Elements of every run. */
  readonly length: number;
  readonly #loops: readonly SliceLoop[];
  readonly #positions: number[];
  #left: number;
  #start: number;
  #begun = false;

  constructor(plan: SlicePlan) {
    this.length = plan.runLength;
    this.#loops = plan.loops;
    this.#positions = plan.loops.map(() => 0);
    this.#left = plan.runCount;
    this.#start = plan.first;
  }

  /** Source element where the current run begins. */
  get start(): number {
    return this.#start;
  }

  /** Goes to the next run (at first: to the first one). False when there is none. */
  next(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    if (this.#begun) this.#advance();
    this.#begun = true;
    return true;
  }

  #advance(): void {
    for (let level = this.#loops.length - 1; level >= 0; level--) {
      const { count, stride } = this.#loops[level]!;
      this.#start += stride;
      this.#positions[level]! += 1;
      if (this.#positions[level]! < count) return;
      this.#start -= count * stride;
      this.#positions[level] = 0;
    }
  }
}

/** Calls `visit` with source element and length of every run, in the order of the result. */
export function forEachRun(plan: SlicePlan, visit: (start: number, length: number) => void): void {
  const cursor = new RunCursor(plan);
  while (cursor.next()) visit(cursor.start, cursor.length);
}

/** Copies what a plan selects out of a whole tensor's bytes. */
export function sliceBytes(plan: SlicePlan, dtype: DType, bytes: Uint8Array): Uint8Array {
  const cursor = new RunCursor(plan);
  if (dtype.bits % 8 !== 0) {
    const elements = new Uint8Array(plan.elements);
    for (let at = 0; cursor.next(); at += cursor.length) {
      elements.set(unpackElements(bytes, dtype.bits, cursor.start, cursor.length), at);
    }
    return packElements(elements, dtype.bits);
  }
  const size = dtype.bits / 8;
  const out = new Uint8Array(plan.elements * size);
  const run = cursor.length * size;
  for (let at = 0; cursor.next(); at += run) {
    const from = cursor.start * size;
    // Setting a few bytes costs less than making a view of them.
    if (run <= 16) for (let index = 0; index < run; index++) out[at + index] = bytes[from + index]!;
    else out.set(bytes.subarray(from, from + run), at);
  }
  return out;
}

/**
 * Reads a slice as written on a command line: entries as in Python, separated by commas. `0:10,:`, `-1`, `::2`, `:,3`; an empty text is everything.
 *
 * @throws UsageError (field `slice`) naming the axis that is wrong
 */
export function parseSlice(text: string): SliceSpec {
  if (text.trim() === "") return [];
  return text.split(",").map((part, axis) => parseEntry(part.trim(), axis));
}

function parseEntry(part: string, axis: number): null | number | SliceRange {
  const fields = part.split(":").map((field) => parseInteger(field.trim(), part, axis));
  const [start, stop, step] = fields;
  if (fields.length === 1) {
    if (start === null || start === undefined) throw wrong(axis, "nothing is written; a whole axis is ':'");
    return start;
  }
  if (fields.length > 3) throw wrong(axis, `${JSON.stringify(part)} has more than start:stop:step`);
  if (start === null && stop === null && (step ?? null) === null) return null;
  if (step === null || step === undefined) return [start!, stop!];
  if (step < 1) throw wrong(axis, `step ${step} is not a positive integer`);
  return [start!, stop!, step];
}

function parseInteger(field: string, part: string, axis: number): number | null {
  if (field === "") return null;
  const value = Number(field);
  if (!/^[+-]?\d+$/.test(field) || !Number.isSafeInteger(value)) {
    throw wrong(axis, `${JSON.stringify(part)} is neither an index nor start:stop:step`);
  }
  return value;
}

function indexOf(index: number, length: number, axis: number): number {
  if (!Number.isSafeInteger(index)) throw wrong(axis, `index ${index} is not an integer`);
  const from = index < 0 ? index + length : index;
  if (from < 0 || from >= length) throw wrong(axis, `index ${index} is out of range for length ${length}`);
  return from;
}

function rangeOf(
  entry: null | SliceRange,
  length: number,
  axis: number,
): { start: number; step: number; count: number } {
  if (entry === null) return { start: 0, step: 1, count: length };
  if (!Array.isArray(entry) || entry.length < 2 || entry.length > 3) {
    throw wrong(axis, "expected null, an index, [start, stop] or [start, stop, step]");
  }
  const [from, to, step = 1] = entry as SliceRange;
  if (!Number.isSafeInteger(step) || step < 1) throw wrong(axis, `step ${step} is not a positive integer`);
  const start = boundOf(from, 0, length, axis);
  const stop = boundOf(to, length, length, axis);
  return { start, step, count: stop > start ? Math.ceil((stop - start) / step) : 0 };
}

/** One end of a range, counted from the front and clamped to the axis. */
function boundOf(bound: number | null, absent: number, length: number, axis: number): number {
  if (bound === null) return absent;
  if (!Number.isSafeInteger(bound)) throw wrong(axis, `${bound} is not an integer`);
  return Math.min(length, Math.max(0, bound < 0 ? bound + length : bound));
}

function wrong(axis: number, message: string): UsageError {
  return new UsageError("slice", `axis ${axis}: ${message}`);
}
