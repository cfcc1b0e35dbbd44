/**
 * What one dataset costs and what each layer on the way in earned, as lines of text.
 */
import type { DatasetStats } from "@tensorcask/core";
import {
  formatBytes,
  formatCount,
  formatDecibels,
  formatDeviation,
  formatItems,
  formatPercent,
  formatRatio,
} from "./quantity.ts";
import { formatRatioParts, LOSSY_LAYER, lossyBytesSaved, ratioParts } from "./ratio.ts";
import { type Column, printable, renderFacts, renderTable } from "./table.ts";

export const layerColumns: readonly Column[] = [
  { title: "layer" },
  { title: "" },
  { title: "before", align: "right" },
  { title: "after", align: "right" },
  { title: "saved", align: "right" },
  { title: "ratio", align: "right" },
  { title: "bits/byte", align: "right" },
];

const codecColumns: readonly Column[] = [
  { title: "codec" },
  { title: "chunks", align: "right" },
  { title: "before", align: "right" },
  { title: "after", align: "right" },
  { title: "ratio", align: "right" },
  { title: "bits/byte", align: "right" },
];

function quotient(before: number, after: number): string {
  return formatRatio(after > 0 ? before / after : null);
}

/** Bits that a byte takes: 8 when nothing was saved. */
function bitsPerByte(before: number, after: number): string {
  return before > 0 ? ((8 * after) / before).toFixed(3) : "-";
}

/** Cells of `layerColumns`, a row for each layer. Bits behind a layer are per byte of the original. */
export function layerCells(stats: Pick<DatasetStats, "layers">): string[][] {
  const original = stats.layers[0]?.bytesBefore ?? 0;
  return stats.layers.map((layer) => [
    layer.name,
    layer.name === LOSSY_LAYER ? "lossy" : "lossless",
    formatBytes(layer.bytesBefore),
    formatBytes(layer.bytesAfter),
    formatPercent(layer.bytesBefore - layer.bytesAfter, layer.bytesBefore),
    quotient(layer.bytesBefore, layer.bytesAfter),
    bitsPerByte(original, layer.bytesAfter),
  ]);
}

/** What each layer of the way in saved, in order; lossy ones are marked. */
export function layerTable(stats: Pick<DatasetStats, "layers">): string[] {
  return renderTable(layerColumns, layerCells(stats), { indent: "  " });
}

/** What each codec chain did, the one that took most bytes first. */
export function codecTable(stats: Pick<DatasetStats, "codecs">): string[] {
  const rows = [...stats.codecs].sort((a, b) => b.bytesBefore - a.bytesBefore);
  return renderTable(
    codecColumns,
    rows.map((row) => [
      row.chain,
      formatCount(row.chunks),
      formatBytes(row.bytesBefore),
      formatBytes(row.bytesAfter),
      quotient(row.bytesBefore, row.bytesAfter),
      bitsPerByte(row.bytesBefore, row.bytesAfter),
    ]),
    { indent: "  " },
  );
}

/** The errors of quantized tensors in one line; undefined when nothing was quantized or refused. */
export function quantizationLine(stats: Pick<DatasetStats, "quantization">): string | undefined {
  const { tensors, refused, worstMaxAbsolute, worstSnrDb, meanSnrDb } = stats.quantization;
  const stored =
    refused === 0 ? "" : `; ${formatItems(refused, "tensor")} refused by the quantizer, stored exactly`;
  if (tensors === 0) {
    return refused === 0 ? undefined : stored.slice(2);
  }
  const errors = [
    `worst error ${formatDeviation(worstMaxAbsolute)}`,
    `SNR ${formatDecibels(worstSnrDb)} at worst, ${formatDecibels(meanSnrDb)} on average`,
  ];
  return `${formatItems(tensors, "tensor")}: ${errors.join(", ")}${stored}`;
}

/** Lines of the report over one dataset. */
export function datasetReport(stats: DatasetStats): string[] {
  const parts = ratioParts(
    stats.ratio,
    stats.originalBytes + stats.derivedBytes,
    lossyBytesSaved(stats.layers),
  );
  const lines = [
    printable(stats.name),
    ...renderFacts([
      ["preset", stats.preset],
      ["data", stats.lossless ? "lossless" : "lossy"],
      [
        "holds",
        `${formatItems(stats.records, "record")}, ${formatItems(stats.files, "file")}, version ${stats.version}`,
      ],
      ["original", formatBytes(stats.originalBytes)],
      ["stored", `${formatBytes(stats.amortizedBytes)} (its part of what it shares included)`],
      ["ratio", formatRatioParts(parts)],
      ["exclusive", `${formatBytes(stats.exclusiveBytes)} (freed if it went)`],
      ["shared", `${formatBytes(stats.sharedBytes)} with other datasets`],
      ["standalone", `${formatBytes(stats.standaloneBytes)} (if it were alone)`],
      ["history", `${formatBytes(stats.historyBytes)} in kept old versions`],
      ["quantized", quantizationLine(stats)],
    ]),
  ];
  if (stats.layers.length > 0) {
    lines.push("", ...layerTable(stats));
  }
  if (stats.codecs.length > 0) {
    lines.push("", ...codecTable(stats));
  }
  return lines;
}
