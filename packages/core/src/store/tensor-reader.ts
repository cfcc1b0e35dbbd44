/**
 * Reads one stored tensor: as a stream of its source bytes, a contiguous range, a slice, or rows. Only chunks that the wanted elements touch are read;
 * quantized values are decoded on the way with what is recorded beside them.
 */
import {
  bytesOfElements,
  DamageError,
  type Dequantize,
  type DType,
  dequantizer,
  dtypeOfCode,
  ElementGeometry,
  elementCount,
  packElements,
  planSlice,
  RunCursor,
  type SlicePlan,
  type SliceSpec,
  UsageError,
  unpackElements,
  ValuesGeometry,
} from "@tensorcask/codec";
import type { StoredTensor } from "../catalog/catalog.ts";
import type { ArrayFacts } from "../model/entry.ts";
import { idsOf, sliceRuns } from "../model/runs.ts";
import type { ChunkReader, ReadChunksOptions } from "./chunk-reader.ts";

/** Gets consecutive source bytes; `offset` counts from the start of the tensor. `bytes` is only valid until the visit is over. */
export type VisitBytes = (bytes: Uint8Array, offset: number) => void | Promise<void>;

/** Where a chunk of the stored values begins, in elements, and its bytes. */
type VisitElements = (bytes: Uint8Array, firstElement: number, chunk: number) => void | Promise<void>;

export class TensorReader {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly elements: number;
  readonly #chunks: ChunkReader;
  readonly #tensor: StoredTensor;
  readonly #chunkElements: number;
  readonly #options: ReadChunksOptions;

  constructor(
    chunks: ChunkReader,
    tensor: StoredTensor,
    chunkElements: number,
    options: ReadChunksOptions = {},
  ) {
    this.#chunks = chunks;
    this.#tensor = tensor;
    this.#chunkElements = chunkElements;
    this.#options = options;
    this.dtype = knownDType(tensor.dtype);
    this.shape = tensor.shape;
    this.elements = elementCount(tensor.shape);
  }

  /** Bytes of the tensor as it was given. */
  get sourceBytes(): number {
    return bytesOfElements(this.dtype, this.elements);
  }

  /** Streams all source bytes, in order. */
  async each(visit: VisitBytes): Promise<void> {
    if (this.elements === 0) return;
    if (this.#tensor.geometry === "content") {
      let offset = 0;
      await this.#eachChunk(this.#array("values"), 0, undefined, async (bytes) => {
        await visit(bytes, offset);
        offset += bytes.length;
      });
      return;
    }
    const all = await this.#geometry();
    await this.#eachElements(0, all.chunkCount, (bytes, first) =>
      visit(bytes, bytesOfElements(this.dtype, first)),
    );
  }

  /** All source bytes. */
  async bytes(): Promise<Uint8Array> {
    const out = new Uint8Array(this.sourceBytes);
    await this.each((bytes, offset) => {
      out.set(bytes, offset);
    });
    return out;
  }

  /** The arrays as they are stored, not dequantized: their bytes, by role. */
  async arrays(): Promise<
    { role: ArrayFacts["role"]; dtype: DType; shape: readonly number[]; bytes: Uint8Array }[]
  > {
    const found = [];
    for (const array of this.#tensor.arrays) {
      const { role, dtype, shape } = array;
      found.push({ role, dtype: knownDType(dtype), shape, bytes: await this.#wholeArray(array) });
    }
    return found;
  }

  /** Bytes of `count` elements from the one at `first`, in row-major order. */
  async range(first: number, count: number): Promise<Uint8Array> {
    return count === 0 ? new Uint8Array(0) : this.#copyRuns(Float64Array.of(first), count);
  }

  /** What a slice selects, and its shape. */
  async slice(spec: SliceSpec): Promise<{ shape: readonly number[]; bytes: Uint8Array }> {
    const plan = planSlice(this.shape, spec);
    const bytes = plan.runCount === 0 ? new Uint8Array(0) : await this.#sliceRuns(plan);
    return { shape: plan.shape, bytes };
  }

  /** Rows along axis 0, in the order given; a row may be asked for more than once. */
  async gather(rows: readonly number[]): Promise<{ shape: readonly number[]; bytes: Uint8Array }> {
    const [length, ...rest] = this.shape;
    if (length === undefined) throw new UsageError("rows", "a scalar has no rows");
    const wanted = rows.map((row) => checkRow(row, length));
    const rowElements = elementCount(rest);
    const shape = [rows.length, ...rest];
    if (rowElements === 0 || rows.length === 0) return { shape, bytes: new Uint8Array(0) };
    const sorted = [...new Set(wanted)].sort((a, b) => a - b);
    const starts = Float64Array.from(sorted, (row) => row * rowElements);
    const unique = await this.#copyRuns(starts, rowElements);
    if (sorted.length === wanted.length && sorted.every((row, index) => row === wanted[index]))
      return { shape, bytes: unique };
    if ((rowElements * this.dtype.bits) % 8 !== 0)
      return { shape, bytes: this.#reorderPacked(unique, sorted, wanted, rowElements) };
    const rowBytes = bytesOfElements(this.dtype, rowElements);
    const out = new Uint8Array(rowBytes * wanted.length);
    const position = new Map(sorted.map((row, index) => [row, index]));
    for (const [index, row] of wanted.entries()) {
      const at = position.get(row)! * rowBytes;
      out.set(unique.subarray(at, at + rowBytes), index * rowBytes);
    }
    return { shape, bytes: out };
  }

  #reorderPacked(
    unique: Uint8Array,
    sorted: readonly number[],
    wanted: readonly number[],
    rowElements: number,
  ): Uint8Array {
    const { bits } = this.dtype;
    const elements = new Uint8Array(wanted.length * rowElements);
    for (const [index, row] of wanted.entries()) {
      elements.set(
        unpackElements(unique, bits, sorted.indexOf(row) * rowElements, rowElements),
        index * rowElements,
      );
    }
    return packElements(elements, bits);
  }

  async #sliceRuns(plan: SlicePlan): Promise<Uint8Array> {
    const starts = new Float64Array(plan.runCount);
    const cursor = new RunCursor(plan);
    for (let index = 0; cursor.next(); index++) starts[index] = cursor.start;
    return this.#copyRuns(starts, plan.runLength);
  }

  /** Copies runs of elements, one behind the other. `starts` rise; runs do not overlap. */
  async #copyRuns(starts: Float64Array, runLength: number): Promise<Uint8Array> {
    const geometry = await this.#geometry();
    const { bits } = this.dtype;
    const whole = bits % 8 === 0;
    const size = bits / 8;
    const out = new Uint8Array(whole ? starts.length * runLength * size : starts.length * runLength);
    const copy = (bytes: Uint8Array, from: number, count: number, to: number): void => {
      if (!whole) out.set(unpackElements(bytes, bits, from, count), to);
      else if (count * size <= 16)
        for (let i = 0; i < count * size; i++) out[to * size + i] = bytes[from * size + i]!;
      else out.set(bytes.subarray(from * size, (from + count) * size), to * size);
    };
    let run = 0;
    let done = 0;
    for (const [fromChunk, toChunk] of touchedChunks(geometry, starts, runLength)) {
      await this.#eachElements(fromChunk, toChunk, (bytes, first, chunk) => {
        const end = first + geometry.count(chunk);
        while (run < starts.length && starts[run]! + done < end) {
          const element = starts[run]! + done;
          const count = Math.min(runLength - done, end - element);
          copy(bytes, element - first, count, run * runLength + done);
          done += count;
          if (done < runLength) return;
          run += 1;
          done = 0;
        }
      });
    }
    return whole ? out : packElements(out, bits);
  }

  async #geometry(): Promise<ElementGeometry | ValuesGeometry | SingleRange> {
    if (this.#tensor.geometry === "content")
      throw new UsageError("slice", "opaque bytes have no elements to slice");
    const { place, dtype: code, shape } = this.#array("values");
    if ("bundle" in place) return new SingleRange(this.elements);
    const dtype = knownDType(code);
    // Blocks that were given as blocks are elements themselves.
    if (this.#tensor.quantization === undefined)
      return new ElementGeometry(dtype, this.shape, this.#chunkElements);
    return new ValuesGeometry({ dtype, shape }, this.shape, this.#chunkElements);
  }

  #array(role: ArrayFacts["role"]): ArrayFacts {
    const array = this.#tensor.arrays.find((one) => one.role === role);
    if (array === undefined) throw new DamageError("catalog", `tensor ${this.#tensor.id} has no ${role}`);
    return array;
  }

  /** Visits chunks [from, to) of the values, as source bytes. */
  async #eachElements(from: number, to: number, visit: VisitElements): Promise<void> {
    const values = this.#array("values");
    const geometry = await this.#geometry();
    const { quantization } = this.#tensor;
    const decode = quantization === undefined ? undefined : await this.#dequantizer();
    await this.#eachChunk(values, from, to, (bytes, index) => {
      const chunk = from + index;
      const first = geometry.first(chunk);
      return visit(decode === undefined ? bytes : decode(bytes, first), first, chunk);
    });
  }

  async #dequantizer(): Promise<Dequantize> {
    const { quantizer, parameters } = this.#tensor.quantization!;
    const side: { scales?: Uint8Array; zeros?: Uint8Array } = {};
    for (const role of ["scales", "zeros"] as const) {
      const array = this.#tensor.arrays.find((one) => one.role === role);
      if (array !== undefined) side[role] = await this.#wholeArray(array);
    }
    return dequantizer(quantizer, parameters, { dtype: this.dtype, shape: this.shape }, side);
  }

  async #wholeArray(array: ArrayFacts): Promise<Uint8Array> {
    const out = new Uint8Array(bytesOfElements(knownDType(array.dtype), elementCount(array.shape)));
    let at = 0;
    await this.#eachChunk(array, 0, undefined, (bytes) => {
      out.set(bytes, at);
      at += bytes.length;
    });
    return out;
  }

  /** Visits the chunks of one array, or its slot of a bundle as if that were its only chunk. */
  async #eachChunk(
    array: ArrayFacts,
    from: number,
    to: number | undefined,
    visit: (bytes: Uint8Array, index: number) => void | Promise<void>,
  ): Promise<void> {
    const { place } = array;
    if ("bundle" in place) {
      const bytes = bytesOfElements(knownDType(array.dtype), elementCount(array.shape));
      const bundle = await this.#chunks.chunk(place.bundle);
      if (place.offset + bytes > bundle.length)
        throw new DamageError("catalog", `tensor ${this.#tensor.id} lies beyond its bundle`);
      await visit(bundle.subarray(place.offset, place.offset + bytes), 0);
      return;
    }
    const ids = [...idsOf(to === undefined ? place.runs : sliceRuns(place.runs, from, to))];
    await this.#chunks.each(ids, (index, bytes) => visit(bytes, index), this.#options);
  }
}

/** The geometry of an array in one piece. */
class SingleRange {
  readonly chunkCount = 1;
  readonly #elements: number;

  constructor(elements: number) {
    this.#elements = elements;
  }

  first(): number {
    return 0;
  }

  count(_chunk: number): number {
    return this.#elements;
  }

  chunkOf(): number {
    return 0;
  }
}

/** Ranges [from, to) of chunks that the runs touch. */
function touchedChunks(
  geometry: { chunkOf(element: number): number },
  starts: Float64Array,
  runLength: number,
): [number, number][] {
  const ranges: [number, number][] = [];
  for (let index = 0; index < starts.length; index++) {
    const start = starts[index]!;
    const first = geometry.chunkOf(start);
    const end = geometry.chunkOf(start + runLength - 1) + 1;
    const last = ranges.at(-1);
    if (last !== undefined && first <= last[1]) last[1] = Math.max(last[1], end);
    else ranges.push([first, end]);
  }
  return ranges;
}

function checkRow(row: number, length: number): number {
  const from = row < 0 ? row + length : row;
  if (!Number.isSafeInteger(row) || from < 0 || from >= length) {
    throw new UsageError("rows", `axis 0: row ${row} is out of range for length ${length}`);
  }
  return from;
}

function knownDType(code: number): DType {
  const dtype = dtypeOfCode(code);
  if (dtype === undefined) throw new DamageError("catalog", `dtype code ${code} is not known`);
  return dtype;
}
