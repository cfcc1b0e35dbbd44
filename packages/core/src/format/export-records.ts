/**
 * Records of a dataset, whatever files they came from or none, as one new file: tensor by tensor, in bounded memory.
 */
import { byteLength, dtypeOfCode, NotFoundError, UsageError } from "@tensorcask/codec";
import type { RecordRow, StoredTensor } from "../catalog/catalog.ts";
import { addressOf } from "../store/address.ts";
import type { StoreContext } from "../store/context.ts";
import type { DatasetView } from "../store/dataset-view.ts";
import { checkOptionNames } from "../store/option-names.ts";
import { recordIdText } from "../store/record-id.ts";
import type { ExportRecordsOptions, ExportRecordsResult } from "../store/types.ts";
import { castTensor } from "./cast.ts";
import { DATASET_KEY, recordsMetadata } from "./kept-metadata.ts";
import { type Output, writerFor, writeTensors } from "./output.ts";
import { pulledPieces } from "./pulled-pieces.ts";
import type { OutputTensor } from "./writer.ts";

const OPTION_NAMES: readonly (keyof ExportRecordsOptions)[] = [
  "format",
  "as",
  "where",
  "file",
  "names",
  "replace",
  "signal",
  "onProgress",
];

/** A record that is written, and what it is called in the file. */
interface Selected {
  readonly row: RecordRow;
  readonly tensor: StoredTensor;
  readonly name: string;
}

/** Writes records into one file; see `DatasetView.exportRecords`. */
export async function exportRecords(
  context: StoreContext,
  view: DatasetView,
  out: Output,
  options: ExportRecordsOptions = {},
): Promise<ExportRecordsResult> {
  context.checkOpen();
  checkOptionNames(options, OPTION_NAMES, "exportRecords");
  const { as, signal, onProgress } = options;
  const started = performance.now();
  const writer = writerFor(out, options.format);
  const selected = named(context, selectedRows(view, options));
  const stored = selected.map((one) => storedOutput(view, one, signal));
  const outputs = stored.map((tensor) => castTensor(tensor, as));
  const total = outputs.reduce((sum, { dtype, shape }) => sum + byteLength(dtype, shape), 0);
  const metadata = metadataOf(view, selected);
  const bytes = await view.guarded(() =>
    writeTensors(
      out,
      outputs,
      {
        format: writer.id,
        metadata,
        replace: options.replace !== false,
        ...(signal !== undefined && { signal }),
        ...(onProgress !== undefined && {
          onWritten: (done) => onProgress({ phase: "export", done, total }),
        }),
      },
      context.parts.userFiles,
    ),
  );
  const quantized = selected.filter(({ tensor }) => tensor.quantization !== undefined);
  const converted = outputs.filter((output, index) => output !== stored[index]).length;
  return {
    format: writer.id,
    tensors: selected.length,
    bytes,
    converted,
    exact: quantized.length === 0 && converted === 0,
    quantized: quantized.map(({ row }) => addressOf({ ...row, idText: recordIdText(row.id) })),
    metadataDropped: !writer.keepsMetadata && Object.keys(metadata).length > 0,
    seconds: (performance.now() - started) / 1000,
  };
}

/** The records that are asked for, in the order of insertion or of `names`. */
function selectedRows(view: DatasetView, { names, where, file }: ExportRecordsOptions): readonly RecordRow[] {
  if (names === undefined) {
    return view.recordRows({ ...(where !== undefined && { where }), ...(file !== undefined && { file }) });
  }
  if (where !== undefined || file !== undefined) {
    throw new UsageError("names", "names select records by themselves; leave where and file out");
  }
  const rows = new Map<string, RecordRow>();
  for (const address of names) {
    const row = view.findRow(address);
    if (row === undefined) throw new NotFoundError("tensor", address, `in ${view.name}`);
    rows.set(recordIdText(row.id), row);
  }
  return [...rows.values()];
}

/** Names that are different: of a name that several records have, those of files are called `file#tensor`. */
function named(context: StoreContext, rows: readonly RecordRow[]): readonly Selected[] {
  const counts = new Map<string, number>();
  for (const { name } of rows) if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  const tensors = context.catalog.tensors(rows.map((row) => row.tensor));
  return rows.map((row, index) => {
    const isAlone = row.name !== undefined && counts.get(row.name) === 1;
    const name = isAlone ? row.name : addressOf({ ...row, idText: recordIdText(row.id) });
    return { row, tensor: tensors[index]!, name: name! };
  });
}

function storedOutput(
  view: DatasetView,
  { tensor, name }: Selected,
  signal: AbortSignal | undefined,
): OutputTensor {
  const dtype = dtypeOfCode(tensor.dtype);
  if (dtype === undefined) {
    throw new UsageError("dtype", `dtype code ${tensor.dtype} is newer than this version`);
  }
  const reader = view.reader(tensor, { signal });
  const elements = () => pulledPieces((visit) => reader.each(visit));
  return { name, dtype, shape: tensor.shape, elements };
}

function metadataOf(view: DatasetView, selected: readonly Selected[]): Readonly<Record<string, string>> {
  const { metadata } = view;
  return {
    ...(Object.keys(metadata).length > 0 && { [DATASET_KEY]: JSON.stringify(metadata) }),
    ...recordsMetadata(selected.map(({ name, row }) => ({ name, metadata: row.metadata }))),
  };
}
