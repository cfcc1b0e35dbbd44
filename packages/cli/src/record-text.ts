/**
 * Records as text: cells of a list, lines of facts, JSON objects.
 */
import type { RecordInfo } from "@tensorcask/core";
import { type Column, formatBytes, formatDecibels, formatDeviation } from "@tensorcask/stats";

/** `[256, 64]`; `[]` for a scalar. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

/** How a record is stored, in a word or two: `exact`, or its quantizer with bits per weight and signal to noise. */
export function storedText({ quantization }: Pick<RecordInfo, "quantization">): string {
  if (quantization === undefined) return "exact";
  const { quantizer, bitsPerWeight, error } = quantization;
  return `${quantizer}, ${bitsPerWeight.toFixed(2)} bits, ${formatDecibels(error.snrDb)}`;
}

/** How a record is stored, with its error or the reason why it was not quantized. */
export function storedLine(record: Pick<RecordInfo, "quantization" | "note">): string {
  const { quantization, note } = record;
  if (quantization === undefined) {
    return note === undefined ? "exactly" : `exactly (${note})`;
  }
  const { error, bitsPerWeight, quantizer } = quantization;
  return [
    `${quantizer} (lossy)`,
    `${bitsPerWeight.toFixed(2)} bits per weight`,
    `largest error ${formatDeviation(error.maxAbsolute)}`,
    `RMSE ${formatDeviation(error.rmse)}`,
    `SNR ${formatDecibels(error.snrDb)}`,
    ...(note === undefined ? [] : [`chosen by ${note}`]),
  ].join(", ");
}

/** Columns of a list of records. */
export function recordColumns(long: boolean): Column[] {
  return [
    { title: "tensor" },
    { title: "dtype" },
    { title: "shape" },
    { title: "size", align: "right" },
    { title: "stored" },
    { title: "file" },
    ...(long ? [{ title: "id" }, { title: "metadata" }] : []),
  ];
}

/** Cells of one record, in the order of `recordColumns`. A record without a name is shown by its id. */
export function recordCells(record: RecordInfo, long: boolean): string[] {
  return [
    record.name ?? record.id,
    record.dtype,
    shapeText(record.shape),
    formatBytes(record.bytes),
    storedText(record),
    record.file ?? "",
    ...(long ? [record.id, JSON.stringify(record.metadata)] : []),
  ];
}

/** A record as `--json` prints it; what it does not have is null. */
export function recordJson(record: RecordInfo): object {
  return {
    id: record.id,
    name: record.name ?? null,
    file: record.file ?? null,
    dtype: record.dtype,
    shape: record.shape,
    bytes: record.bytes,
    metadata: record.metadata,
    quantization: record.quantization ?? null,
    note: record.note ?? null,
  };
}
