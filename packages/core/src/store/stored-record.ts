/** A record as lists and iterations give it: everything about it, and its tensor when asked for. */
import { byteLength, type DType, type SliceSpec } from "@tensorcask/codec";
import type { RecordRow, StoredTensor } from "../catalog/catalog.ts";
import type { JsonObject, QuantizationFacts } from "../model/entry.ts";
import type { DatasetView } from "./dataset-view.ts";
import { recordIdText } from "./record-id.ts";
import type { Tensor } from "./tensor.ts";
import type { ReadOptions, RecordInfo } from "./types.ts";

export class StoredRecord implements RecordInfo {
  readonly id: string;
  readonly name: string | undefined;
  readonly file: string | undefined;
  readonly metadata: JsonObject;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly quantization: QuantizationFacts | undefined;
  readonly note: string | undefined;
  readonly #view: DatasetView;
  readonly #row: RecordRow;

  constructor(view: DatasetView, row: RecordRow, dtype: DType, tensor: StoredTensor) {
    this.#view = view;
    this.#row = row;
    this.id = recordIdText(row.id);
    this.name = row.name;
    this.file = row.filePath;
    this.metadata = row.metadata ?? {};
    this.dtype = dtype.name;
    this.shape = tensor.shape;
    this.bytes = byteLength(dtype, tensor.shape);
    this.quantization = tensor.quantization;
    this.note = tensor.note;
  }

  /** The tensor, decoded. */
  async read(options: ReadOptions = {}): Promise<Tensor> {
    return this.#view.readRecord(this.#row, options);
  }

  /** Part of it; reads only the chunks that part touches. */
  async slice(spec: SliceSpec, options: ReadOptions = {}): Promise<Tensor> {
    return this.#view.sliceRecord(this.#row, spec, options);
  }
}
