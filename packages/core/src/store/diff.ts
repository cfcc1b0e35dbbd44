/**
 * What two datasets, or versions of one, have in common, tensor by tensor. Works on the catalog alone unless values are asked for; nothing but a page of
 * records and some bits a chunk is in memory at a time.
 */
import {
  byteLength,
  CancelledError,
  DamageError,
  type DType,
  dtypeOfCode,
  UsageError,
} from "@tensorcask/codec";
import type { ChunkRow, RecordRow, StoredTensor } from "../catalog/catalog.ts";
import { addressOf } from "./address.ts";
import type { StoreContext } from "./context.ts";
import { type DatasetAt, datasetAt, readAt } from "./dataset-at.ts";
import { measureHeld, recordPages } from "./diff-held.ts";
import { counterpart } from "./diff-match.ts";
import type {
  DiffOptions,
  DiffStatus,
  DiffSummary,
  DiffTensor,
  FileDiff,
  TensorDiff,
  ValueDiff,
} from "./diff-types.ts";
import { compareValues, haveSameValues, isReadable } from "./diff-values.ts";
import { GoneError } from "./gone.ts";
import { checkOptionNames } from "./option-names.ts";
import { recordIdText } from "./record-id.ts";

const OPTION_NAMES: readonly string[] = ["values", "signal", "onProgress"];

/** Records that are looked up at one state of the catalog. */
const RECORDS_AT_ONCE = 64;

/** A record, its tensor, and the chunks that this lies in. */
interface Placed {
  readonly record: RecordRow;
  readonly tensor: StoredTensor;
  readonly dtype: DType;
  readonly chunks: readonly ChunkRow[];
}

/**
 * Compares b with a; `dataset`, `dataset@version` or `dataset@tag` each. Yields the tensors of a in their order, each with its counterpart, then those that only b
 * has; returns totals. See `Store.diff`.
 */
export async function* diff(
  context: StoreContext,
  a: string,
  b: string,
  options: DiffOptions = {},
): AsyncGenerator<TensorDiff, DiffSummary, void> {
  checkOptionNames(options, OPTION_NAMES, "a diff");
  const started = performance.now();
  const run = new DiffRun(context, datasetAt(context, a), datasetAt(context, b), options);
  return yield* run.all(started);
}

class DiffRun {
  readonly #context: StoreContext;
  readonly #a: DatasetAt;
  readonly #b: DatasetAt;
  readonly #options: DiffOptions;
  readonly #counts: { [status in DiffStatus]: { tensors: number; bytes: number } } = {
    identical: { tensors: 0, bytes: 0 },
    difference: { tensors: 0, bytes: 0 },
    changed: { tensors: 0, bytes: 0 },
    new: { tensors: 0, bytes: 0 },
    gone: { tensors: 0, bytes: 0 },
  };
  #done = 0;
  #total = 0;

  constructor(context: StoreContext, a: DatasetAt, b: DatasetAt, options: DiffOptions) {
    this.#context = context;
    this.#a = a;
    this.#b = b;
    this.#options = options;
  }

  async *all(started: number): AsyncGenerator<TensorDiff, DiffSummary, void> {
    const a = this.#a;
    const b = this.#b;
    const { recordBytes, ...sizes } = await measureHeld(this.#context, a, b, () => this.#check());
    this.#total = recordBytes;
    for await (const page of recordPages(this.#context, a)) {
      for (let at = 0; at < page.length; at += RECORDS_AT_ONCE) {
        for (const [one, other] of this.#pairs(page.slice(at, at + RECORDS_AT_ONCE)))
          yield this.#counted(await this.#compared(one, other));
      }
    }
    for await (const page of recordPages(this.#context, b)) {
      for (let at = 0; at < page.length; at += RECORDS_AT_ONCE) {
        for (const added of this.#added(page.slice(at, at + RECORDS_AT_ONCE)))
          yield this.#counted({ ...unrelated, status: "new", a: undefined, b: sideOf(added) });
      }
    }
    return {
      a: { dataset: a.name, version: a.version },
      b: { dataset: b.name, version: b.version },
      counts: this.#counts,
      ...this.#files(),
      ...sizes,
      seconds: (performance.now() - started) / 1000,
    };
  }

  #check(): void {
    const { signal } = this.#options;
    if (signal?.aborted) throw new CancelledError("the comparison", { cause: signal.reason });
  }

  #report(bytes: number, item: string): void {
    this.#check();
    this.#options.onProgress?.({ phase: "diff", done: this.#done + bytes, total: this.#total, item });
  }

  #counted(each: TensorDiff): TensorDiff {
    const { status, a, b } = each;
    const shown = b ?? a!;
    const count = this.#counts[status];
    count.tensors += 1;
    count.bytes += shown.bytes;
    this.#done += (a?.bytes ?? 0) + (b?.bytes ?? 0);
    this.#report(0, shown.address);
    return each;
  }

  /** Reads the catalog at one state in which both versions are kept. */
  #read<T>(read: () => T): T {
    return readAt(this.#context, this.#a, () => readAt(this.#context, this.#b, read));
  }

  /** Records of a with their counterparts in b. */
  #pairs(records: readonly RecordRow[]): (readonly [Placed, Placed | undefined])[] {
    return this.#read(() =>
      records.map((record) => {
        const other = counterpart(this.#context.catalog, record, this.#a, this.#b);
        return [this.#placed(record), other && this.#placed(other)] as const;
      }),
    );
  }

  /** Those of some records of b that have no counterpart in a. */
  #added(records: readonly RecordRow[]): Placed[] {
    return this.#read(() =>
      records
        .filter((record) => counterpart(this.#context.catalog, record, this.#b, this.#a) === undefined)
        .map((record) => this.#placed(record)),
    );
  }

  async #compared(a: Placed, b: Placed | undefined): Promise<TensorDiff> {
    if (b === undefined) return { ...unrelated, status: "gone", a: sideOf(a), b: undefined };
    const sides = { a: sideOf(a), b: sideOf(b) };
    if (a.tensor.id === b.tensor.id) {
      const sharedBytes = a.tensor.arrays.reduce(
        (sum, { dtype, shape }) => sum + byteLength(dtypeOfCode(dtype)!, shape),
        0,
      );
      return { ...unrelated, status: "identical", ...sides, sharedBytes };
    }
    const comparable = haveSameValues(form(a), form(b));
    const values =
      comparable && this.#options.values === true ? await this.#values(a, b, sides.b.address) : undefined;
    return { status: comparable ? "difference" : "changed", ...sides, ...relation(a, b), values };
  }

  #placed(record: RecordRow): Placed {
    const { catalog } = this.#context;
    const tensor = this.#context.storedTensor(record.tensor);
    const dtype = dtypeOfCode(tensor.dtype);
    if (dtype === undefined)
      throw new UsageError("dtype", `dtype code ${tensor.dtype} is newer than this version`);
    const chunks = tensor.arrays.flatMap(({ place }) =>
      catalog.chunks("bundle" in place ? [place.bundle, 1] : place.runs),
    );
    return { record, tensor, dtype, chunks };
  }

  async #values(a: Placed, b: Placed, address: string): Promise<ValueDiff | undefined> {
    if (!isReadable(a.dtype) || !isReadable(b.dtype)) return undefined;
    const { signal } = this.#options;
    const left = this.#a.view.reader(a.tensor, { signal });
    const right = this.#b.view.reader(b.tensor, { signal });
    try {
      return await compareValues(left, right, this.#context.chunkElements, (bytes) =>
        this.#report(bytes, address),
      );
    } catch (error) {
      if (!(error instanceof GoneError)) throw error;
      // Says which of the two expired.
      for (const at of [this.#a, this.#b]) readAt(this.#context, at, () => undefined);
      throw new DamageError("catalog", error.message);
    }
  }

  /** Files by path. */
  #files(): Pick<DiffSummary, "files" | "filesIdentical"> {
    const { catalog } = this.#context;
    const [filesA, filesB] = [this.#a, this.#b].map((at) =>
      readAt(this.#context, at, () => catalog.files(at.dataset, at.version)),
    );
    const others = new Map(filesB!.map((file) => [file.path, file]));
    const files: FileDiff[] = [];
    let filesIdentical = 0;
    for (const { path, bytes, sha256 } of filesA!) {
      const other = others.get(path);
      others.delete(path);
      if (other === undefined) files.push({ path, status: "gone", bytesA: bytes, bytesB: undefined });
      else if (Buffer.compare(sha256, other.sha256) === 0) filesIdentical += 1;
      else files.push({ path, status: "changed", bytesA: bytes, bytesB: other.bytes });
    }
    for (const { path, bytes } of others.values())
      files.push({ path, status: "new", bytesA: undefined, bytesB: bytes });
    return { files, filesIdentical };
  }
}

const unrelated = { sharedBytes: 0, differenceRawBytes: 0, differenceBytes: 0, values: undefined };

function form({ dtype, tensor }: Placed): { dtype: DType; shape: readonly number[] } {
  return { dtype, shape: tensor.shape };
}

function sideOf(placed: Placed): DiffTensor {
  const { record, tensor, dtype } = placed;
  return {
    address: addressOf({ ...record, idText: recordIdText(record.id) }),
    dtype: dtype.name,
    shape: tensor.shape,
    bytes: byteLength(dtype, tensor.shape),
    storedBytes: storedBytes(placed),
  };
}

function storedBytes({ tensor, chunks }: Placed): number {
  const rows = new Map(chunks.map((row) => [row.id, row]));
  for (const { place, dtype, shape } of tensor.arrays) {
    if (!("bundle" in place)) continue;
    const bundle = rows.get(place.bundle)!;
    const part = byteLength(dtypeOfCode(dtype)!, shape) / bundle.rawBytes;
    rows.set(place.bundle, { ...bundle, frameBytes: Math.round(part * bundle.frameBytes) });
  }
  return [...rows.values()].reduce((sum, { frameBytes }) => sum + frameBytes, 0);
}

/** What the chunks of two tensors have to do with each other. Bundles are left out: what else is in them is not theirs. */
function relation(
  a: Placed,
  b: Placed,
): Pick<TensorDiff, "sharedBytes" | "differenceRawBytes" | "differenceBytes"> {
  const rowsA = ownChunks(a);
  const rowsB = ownChunks(b);
  let sharedBytes = 0;
  let differenceRawBytes = 0;
  let differenceBytes = 0;
  for (const [own, other] of [
    [rowsA, rowsB],
    [rowsB, rowsA],
  ] as const) {
    for (const [id, { rawBytes, frameBytes, sibling }] of own) {
      if (other.has(id)) {
        // Both directions meet it.
        if (own === rowsA) sharedBytes += rawBytes;
      } else if (sibling !== undefined && other.has(sibling)) {
        differenceRawBytes += rawBytes;
        differenceBytes += frameBytes;
      }
    }
  }
  return { sharedBytes, differenceRawBytes, differenceBytes };
}

function ownChunks({ tensor, chunks }: Placed): Map<number, ChunkRow> {
  const bundles = new Set(tensor.arrays.flatMap(({ place }) => ("bundle" in place ? [place.bundle] : [])));
  return new Map(chunks.filter(({ id }) => !bundles.has(id)).map((row) => [row.id, row]));
}
