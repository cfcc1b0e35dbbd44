/**
 * What an import did: sizes, ratio, what was in the store already, speed, and whether anything was lost.
 */
import type { ImportResult } from "@tensorcask/core";
import { formatBytes, formatItems, formatSeconds, formatSpeed } from "./quantity.ts";
import { formatRatioParts, ratioParts } from "./ratio.ts";
import { printable, renderFacts } from "./table.ts";

/** Notes and skipped paths listed one by one; more are counted. */
export const LISTED_MAX = 10;

function listed(items: readonly string[], noun: string): string[] {
  const rest = items.length - LISTED_MAX;
  const shown = items.slice(0, LISTED_MAX).map((item) => `  ${item}`);
  return rest > 0 ? [...shown, `  and ${formatItems(rest, `more ${noun}`)} (--json lists them all)`] : shown;
}

/** `lossless: every byte comes back exactly`, or what is lossy about it. */
export function lossLine(result: Pick<ImportResult, "preset" | "lossless" | "quantized">): string {
  if (result.lossless) {
    return `${result.preset} (lossless: every byte comes back)`;
  }
  const quantized =
    result.quantized === 0 ? "nothing was quantized" : `${formatItems(result.quantized, "tensor")} quantized`;
  return `${result.preset} (lossy: ${quantized})`;
}

/** What was in the store already; undefined when everything was new. */
export function sharedLine(
  result: Pick<ImportResult, "tensorsShared" | "bytesShared" | "chunksShared">,
): string | undefined {
  const parts: string[] = [];
  if (result.tensorsShared > 0) {
    parts.push(`${formatItems(result.tensorsShared, "tensor")} (${formatBytes(result.bytesShared)})`);
  }
  if (result.chunksShared > 0) {
    parts.push(formatItems(result.chunksShared, parts.length > 0 ? "more chunk" : "chunk"));
  }
  return parts.length > 0 ? `${parts.join(" and ")}, in the store already` : undefined;
}

/** What is stored as differences to other tensors; undefined when nothing is. */
export function differencesLine(
  result: Pick<ImportResult, "chunksAsDifferences" | "differenceRawBytes" | "differenceBytes">,
): string | undefined {
  const { chunksAsDifferences, differenceRawBytes, differenceBytes } = result;
  if (chunksAsDifferences === 0) return undefined;
  const sizes = `${formatBytes(differenceRawBytes)} in ${formatBytes(differenceBytes)}`;
  return `${sizes} (${formatItems(chunksAsDifferences, "chunk")}), as differences to tensors that are alike`;
}

/** A ratio, with its lossy and its lossless part where there are both. */
function ratioText(
  sizes: Pick<ImportResult, "ratio" | "originalBytes" | "derivedBytes" | "lossyBytesSaved">,
): string {
  return formatRatioParts(
    ratioParts(sizes.ratio, sizes.originalBytes + sizes.derivedBytes, sizes.lossyBytesSaved),
  );
}

/** Tensors that are no byte range of their file; undefined when there are none. */
function derivedLine(result: Pick<ImportResult, "derivedTensors" | "derivedBytes">): string | undefined {
  const { derivedTensors, derivedBytes } = result;
  if (derivedTensors === 0) return undefined;
  const whose = derivedTensors === 1 ? "its file's" : "their files'";
  return `${formatItems(derivedTensors, "tensor")} kept beside ${whose} bytes (${formatBytes(derivedBytes)})`;
}

/** Lines of the report over one import. */
export function importReport(result: ImportResult): string[] {
  const lines = [
    `Imported ${formatItems(result.files, "file")} with ${formatItems(result.tensors, "tensor")} into ${printable(
      result.dataset,
    )}, version ${result.version}`,
    ...renderFacts([
      ["original", formatBytes(result.originalBytes)],
      ["derived", derivedLine(result)],
      ["stored", `${formatBytes(result.storedBytes)}; the store grew by ${formatBytes(result.newBytes)}`],
      ["ratio", ratioText(result)],
      ["shared", sharedLine(result)],
      ["differences", differencesLine(result)],
      ["preset", lossLine(result)],
      ["time", `${formatSeconds(result.seconds)}, ${formatSpeed(result.originalBytes, result.seconds)}`],
    ]),
  ];
  if (result.notes.length > 0) {
    lines.push("Stored exactly, although the preset quantizes:");
    lines.push(
      ...listed(
        result.notes.map((note) => `${printable(note.tensor)}: ${note.note}`),
        "tensor",
      ),
    );
  }
  if (result.skipped.length > 0) {
    lines.push("Not imported:");
    lines.push(
      ...listed(
        result.skipped.map((skip) => `${printable(skip.path)}: ${skip.reason}`),
        "path",
      ),
    );
  }
  return lines;
}

/** One import in one line, for imports of many folders. */
export function importLine(result: ImportResult): string {
  return [
    `${printable(result.dataset)}: ${formatItems(result.files, "file")}`,
    formatItems(result.tensors, "tensor"),
    `${formatBytes(result.originalBytes)} -> ${formatBytes(result.storedBytes)} (ratio ${ratioText(result)}, ${formatBytes(
      result.newBytes,
    )} new)`,
    result.lossless ? "lossless" : "lossy",
    formatSpeed(result.originalBytes, result.seconds),
  ].join(", ");
}

/** Several imports taken together. */
export interface ImportTotal {
  readonly datasets: number;
  readonly files: number;
  readonly tensors: number;
  readonly originalBytes: number;
  readonly derivedBytes: number;
  /** Sum of what each needs; files that share bytes count them each. */
  readonly storedBytes: number;
  readonly newBytes: number;
  readonly lossyBytesSaved: number;
  /** originalBytes / newBytes: what the imports together made the store grow by; null when it did not grow. */
  readonly ratio: number | null;
  readonly seconds: number;
}

/** Adds imports up. */
export function importTotal(results: readonly ImportResult[], seconds: number): ImportTotal {
  const sum = (
    field:
      | "files"
      | "tensors"
      | "originalBytes"
      | "derivedBytes"
      | "storedBytes"
      | "newBytes"
      | "lossyBytesSaved",
  ): number => results.reduce((total, result) => total + result[field], 0);
  const originalBytes = sum("originalBytes");
  const newBytes = sum("newBytes");
  return {
    datasets: results.length,
    files: sum("files"),
    tensors: sum("tensors"),
    originalBytes,
    derivedBytes: sum("derivedBytes"),
    storedBytes: sum("storedBytes"),
    newBytes,
    lossyBytesSaved: sum("lossyBytesSaved"),
    ratio: newBytes > 0 ? originalBytes / newBytes : null,
    seconds,
  };
}

/** The total in one line. */
export function importTotalLine(total: ImportTotal): string {
  return [
    `Total: ${formatItems(total.datasets, "dataset")}, ${formatItems(total.files, "file")}`,
    formatItems(total.tensors, "tensor"),
    `${formatBytes(total.originalBytes)} added ${formatBytes(total.newBytes)} to the store (ratio ${ratioText(total)})`,
    `${formatSeconds(total.seconds)}, ${formatSpeed(total.originalBytes, total.seconds)}`,
  ].join(", ");
}
